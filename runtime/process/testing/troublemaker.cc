// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A program that does what a supervised program may do, for tests of those who supervise it.
// Arguments are actions, done in order:
//
//   print TEXT         writes TEXT and a newline to stdout
//   complain TEXT      the same to stderr
//   ignore SIGNAL      ignores the signal (a number)
//   child              forks a child that sleeps for ever
//   setsid-child       the same, in a session of its own
//   double-fork        a daemon: forked twice, in a session of its own, its parent gone
//   hidden             a daemon with an empty environment, so that no mark is left on it
//   stopped-child      a child that stops itself
//   hopper             a daemon that forks and exits, again and again, up to 10,000 times, each
//                      in a new session
//   execer             a daemon that execs itself again and again, up to 10,000 times
//   exec-on N          what an execer does N more times
//   bomb N             children that fork children that fork children, N of them in all
//   headless           a daemon whose first thread has ended while another one sleeps
//   stop               stops itself
//   raise SIGNAL       sends itself the signal
//   eat MEGABYTES      takes and touches memory
//   fds                prints "fd N" for each open descriptor
//   state              prints mask, ignored signals, umask, session, group, limits, working
//                      directory
//   environment NAME   prints the variable
//   wait-stdin         reads stdin to its end
//   sleep              sleeps for ever
//   exit CODE          ends
//
// Each process made prints "pid N" before the next action. Ends with 0 after the last action.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <string>
#include <vector>

namespace {

void Print(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(98);
}

[[noreturn]] void SleepForEver() {
  while (true) ::pause();
}

/// Forks a child that runs `body`, and waits until it has announced itself.
template <class Body>
void Fork(Body body) {
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) ::_exit(97);
  const pid_t pid = ::fork();
  if (pid < 0) ::_exit(96);
  if (pid == 0) {
    ::close(ready[0]);
    body(ready[1]);
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte;
  if (::read(ready[0], &byte, 1) < 0) ::_exit(95);
  ::close(ready[0]);
}

void Announce(int ready) {
  Print("pid " + std::to_string(::getpid()));
  ::close(ready);
}

template <class Body>
void Daemon(Body body) {
  Fork([&](int ready) {
    ::setsid();
    if (::fork() != 0) ::_exit(0);
    body(ready);
  });
  ::waitpid(-1, nullptr, 0);
}

[[noreturn]] void Hop(int hops_left) {
  if (hops_left > 0) {
    const pid_t next = ::fork();
    if (next != 0) ::_exit(0);
    ::setsid();
    Hop(hops_left - 1);
  }
  SleepForEver();
}

/// Execs this program again, with its environment, to go on execing `times` more.
[[noreturn]] void ExecOn(int times) {
  const std::string count = std::to_string(times);
  const char* arguments[] = {"troublemaker", "exec-on", count.c_str(), nullptr};
  ::execv("/proc/self/exe", const_cast<char**>(arguments));
  ::_exit(92);
}

[[noreturn]] void ExecOnUntilDone(int times_left) {
  if (times_left > 0) ExecOn(times_left - 1);
  SleepForEver();
}

/// Every process forks on and on until all of them together have made `processes`.
void Bomb(int processes) {
  void* const memory = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) ::_exit(91);
  auto* const made = new (memory) std::atomic<int>(0);
  if (::fork() != 0) return;
  while (made->fetch_add(1) < processes) ::fork();
  SleepForEver();
}

/// What the kernel shows of such a process looks like a zombie, but for the number of its threads.
[[noreturn]] void BecomeHeadless(int ready) {
  pthread_t body;
  const auto announce_and_sleep = [](void* fd) -> void* {
    Announce(static_cast<int>(reinterpret_cast<intptr_t>(fd)));
    SleepForEver();
  };
  const auto argument = reinterpret_cast<void*>(static_cast<intptr_t>(ready));
  if (::pthread_create(&body, nullptr, announce_and_sleep, argument) != 0) ::_exit(90);
  while (true) ::syscall(SYS_exit, 0);
}

void PrintFds() {
  DIR* listing = ::opendir("/proc/self/fd");
  std::string fds;
  while (const dirent* entry = ::readdir(listing)) {
    if (entry->d_name[0] == '.' || ::atoi(entry->d_name) == ::dirfd(listing)) continue;
    Print(std::string("fd ") + entry->d_name);
  }
  ::closedir(listing);
}

void PrintState() {
  sigset_t mask;
  ::sigprocmask(SIG_SETMASK, nullptr, &mask);
  std::string blocked;
  std::string ignored;
  for (int signal = 1; signal <= 64; ++signal) {
    if (sigismember(&mask, signal) == 1) blocked += " " + std::to_string(signal);
    struct sigaction action;
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) {
      ignored += " " + std::to_string(signal);
    }
  }
  Print("blocked:" + blocked);
  Print("ignored:" + ignored);
  const mode_t mask_bits = ::umask(0);
  Print("umask: " + std::to_string(mask_bits));
  Print(std::string("session: ") + (::getsid(0) == ::getpid() ? "own" : "inherited"));
  Print(std::string("group: ") + (::getpgrp() == ::getpid() ? "own" : "inherited"));
  rlimit limit;
  ::getrlimit(RLIMIT_NOFILE, &limit);
  Print("nofile: " + std::to_string(limit.rlim_cur) + " " + std::to_string(limit.rlim_max));
  ::getrlimit(RLIMIT_CORE, &limit);
  Print("core: " + std::to_string(limit.rlim_cur));
  char folder[4096];
  Print(std::string("folder: ") + (::getcwd(folder, sizeof(folder)) != nullptr ? folder : "?"));
  const int terminal = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  Print(std::string("terminal: ") + (terminal >= 0 ? "yes" : "none"));
}

void EatMemory(size_t megabytes) {
  std::vector<char> memory;
  for (size_t i = 0; i < megabytes; ++i)
    memory.resize(memory.size() + (1 << 20), static_cast<char>(i));
}

/// Forks a child that leads a session of its own where it is told to, and sleeps for ever.
void MakeChild(bool own_session) {
  Fork([own_session](int ready) {
    if (own_session) ::setsid();
    Announce(ready);
    SleepForEver();
  });
}

void MakeStoppedChild() {
  Fork([](int ready) {
    Announce(ready);
    ::raise(SIGSTOP);
    SleepForEver();
  });
}

void MakeDaemon() {
  Daemon([](int ready) {
    Announce(ready);
    SleepForEver();
  });
}

void MakeHidden() {
  Daemon([](int ready) {
    const std::string announce = "pid " + std::to_string(::getpid());
    const char* arguments[] = {"troublemaker", "print", announce.c_str(), "sleep", nullptr};
    const char* nothing[] = {nullptr};
    ::setsid();
    ::close(ready);  // the announcement may come late: whoever reads "pid" has it exec'd
    ::execve("/proc/self/exe", const_cast<char**>(arguments), const_cast<char**>(nothing));
  });
}

void MakeHopper() {
  Daemon([](int ready) {
    ::close(ready);
    Hop(10'000);
  });
}

void MakeExecer() {
  Daemon([](int ready) {
    ::close(ready);
    ExecOn(10'000);
  });
}

void PrintVariable(const char* name) {
  const char* value = ::getenv(name);
  Print(value != nullptr ? value : "(unset)");
}

void ReadStdinToItsEnd() {
  char bytes[4096];
  while (::read(STDIN_FILENO, bytes, sizeof(bytes)) > 0) {
  }
}

struct Action {
  const char* name;
  bool has_operand;
  void (*act)(const char* operand);  // null without one
};

constexpr Action kActions[] = {
    {"print", true, [](const char* text) { Print(text); }},
    {"complain", true, [](const char* text) { ::dprintf(STDERR_FILENO, "%s\n", text); }},
    {"ignore", true, [](const char* signal) { ::signal(::atoi(signal), SIG_IGN); }},
    {"child", false, [](const char*) { MakeChild(false); }},
    {"setsid-child", false, [](const char*) { MakeChild(true); }},
    {"double-fork", false, [](const char*) { MakeDaemon(); }},
    {"hidden", false, [](const char*) { MakeHidden(); }},
    {"stopped-child", false, [](const char*) { MakeStoppedChild(); }},
    {"hopper", false, [](const char*) { MakeHopper(); }},
    {"execer", false, [](const char*) { MakeExecer(); }},
    {"exec-on", true, [](const char* times) { ExecOnUntilDone(::atoi(times)); }},
    {"bomb", true, [](const char* processes) { Bomb(::atoi(processes)); }},
    {"headless", false, [](const char*) { Daemon(BecomeHeadless); }},
    {"stop", false, [](const char*) { ::raise(SIGSTOP); }},
    {"raise", true, [](const char* signal) { ::raise(::atoi(signal)); }},
    {"eat", true, [](const char* megabytes) { EatMemory(::strtoul(megabytes, nullptr, 10)); }},
    {"fds", false, [](const char*) { PrintFds(); }},
    {"state", false, [](const char*) { PrintState(); }},
    {"environment", true, PrintVariable},
    {"wait-stdin", false, [](const char*) { ReadStdinToItsEnd(); }},
    {"sleep", false, [](const char*) { SleepForEver(); }},
    {"exit", true, [](const char* code) { ::_exit(::atoi(code)); }},
};

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const auto* const action =
        std::find_if(std::begin(kActions), std::end(kActions),
                     [&](const Action& known) { return ::strcmp(known.name, argv[i]) == 0; });
    if (action == std::end(kActions)) {
      ::dprintf(STDERR_FILENO, "troublemaker: no such action: %s\n", argv[i]);
      ::_exit(93);
    }
    if (action->has_operand && ++i == argc) ::_exit(94);
    action->act(action->has_operand ? argv[i] : nullptr);
  }
  return 0;
}
