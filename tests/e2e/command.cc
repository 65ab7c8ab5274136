// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/command.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <sstream>

namespace lockstep::e2e {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr char kTagName[] = "LOCKSTEP_TEST_TAG=";

/// Writes all of it, unless nobody reads any more.
void Feed(int fd, const std::string& input) {
  sigset_t pipe;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  for (size_t at = 0; at < input.size();) {
    const ssize_t count = ::write(fd, input.data() + at, input.size() - at);
    if (count < 0 && errno != EINTR) break;
    if (count > 0) at += static_cast<size_t>(count);
  }
  ::close(fd);
}

/// Our end and the program's, which passes bytes on as they are.
bool OpenTerminal(int ends[2]) {
  ends[0] = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (ends[0] < 0 || ::grantpt(ends[0]) != 0 || ::unlockpt(ends[0]) != 0) return false;
  ends[1] = ::open(::ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
  termios settings{};
  if (ends[1] < 0 || ::tcgetattr(ends[1], &settings) != 0) return false;
  ::cfmakeraw(&settings);
  return ::tcsetattr(ends[1], TCSANOW, &settings) == 0;
}

}  // namespace

std::string ReadFile(const std::string& path) {
  // Not a stream: libstdc++'s throw when a process ends while its file of /proc is read.
  std::string text;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return text;
  char bytes[65536];
  ssize_t count = 0;
  while ((count = ::read(fd, bytes, sizeof bytes)) > 0 || (count < 0 && errno == EINTR)) {
    if (count > 0) text.append(bytes, static_cast<size_t>(count));
  }
  ::close(fd);
  return text;
}

bool Eventually(const std::function<bool()>& holds, std::chrono::milliseconds at_most) {
  const auto give_up = std::chrono::steady_clock::now() + at_most;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    ::poll(nullptr, 0, 5);
  }
  return true;
}

char ProcessState(pid_t pid) {
  const std::string stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  const size_t end = stat.rfind(')');
  return end == std::string::npos || end + 2 >= stat.size() ? '?' : stat[end + 2];
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  const std::string id = std::to_string(pid);
  std::istringstream list(ReadFile("/proc/" + id + "/task/" + id + "/children"));
  return {std::istream_iterator<pid_t>(list), std::istream_iterator<pid_t>()};
}

Scratch::Scratch() {
  char path[] = "/tmp/lse2e.XXXXXX";
  if (::mkdtemp(path) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
  path_ = path;
  tag_ = path_.substr(path_.size() - 6) + "-" + std::to_string(::getpid());
  ::chmod(path, 0755);
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string Scratch::Write(const std::string& name, const std::string& content, mode_t mode) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  ::chmod(path.c_str(), mode);
  return path;
}

std::string Scratch::Read(const std::string& name) const { return ReadFile(path_ + "/" + name); }

std::map<std::string, std::string> Scratch::Environment() const {
  return {{"HOME", path_},
          {"XDG_RUNTIME_DIR", path_},
          {"PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"},
          {"LOCKSTEP_TEST_TAG", tag_}};
}

std::vector<std::string> Scratch::Leftovers() const {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string environment = ReadFile(entry.path() / "environ");
    if (environment.find(kTagName + tag_) == std::string::npos ||
        ProcessState(std::stoi(name)) == 'Z')
      continue;
    std::string command = ReadFile(entry.path() / "cmdline");
    for (char& c : command) c = c == '\0' ? ' ' : c;
    found.push_back(name + ": " + command);
  }
  return found;
}

std::vector<std::string> Scratch::LeftoversAfter(std::chrono::milliseconds at_most) const {
  std::vector<std::string> left;
  Eventually([&] { return (left = Leftovers()).empty(); }, at_most);
  return left;
}

struct Command::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::string out;
  std::string err;
  int open = 2;  // streams that are still read

  void Collect(int fd, std::string Shared::* where) {
    char bytes[65536];
    ssize_t count = 0;
    while ((count = ::read(fd, bytes, sizeof bytes)) > 0 || (count < 0 && errno == EINTR)) {
      if (count < 0) continue;
      std::lock_guard lock(mutex);
      (this->*where).append(bytes, static_cast<size_t>(count));
      changed.notify_all();
    }
    ::close(fd);
    std::lock_guard lock(mutex);
    --open;
    changed.notify_all();
  }
};

Command::Command(const std::vector<std::string>& arguments, Options options)
    : started_(std::chrono::steady_clock::now()), shared_(std::make_shared<Shared>()) {
  int in[2], out[2], err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0 ||
      !(options.terminal ? OpenTerminal(out) : ::pipe2(out, O_CLOEXEC) == 0)) {
    std::perror("pipe");
    std::abort();
  }

  std::vector<std::string> words = options.wrapper;
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::vector<std::string> pairs;
  for (const auto& [key, value] : options.environment) pairs.push_back(key + "=" + value);
  std::vector<char*> environment;
  for (std::string& pair : pairs) environment.push_back(pair.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  ::posix_spawn_file_actions_adddup2(&actions, options.terminal ? out[1] : err[1], 2);
  if (!options.directory.empty())
    ::posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(
      &attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                      (options.new_process_group ? POSIX_SPAWN_SETPGROUP : 0)));
  const int error =
      ::posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  ::close(in[0]);
  ::close(out[1]);
  ::close(err[1]);
  if (error != 0) {
    std::cerr << "cannot start " << argv[0] << ": " << std::strerror(error) << "\n";
    std::abort();
  }
  helpers_.emplace_back([shared = shared_, fd = out[0]] { shared->Collect(fd, &Shared::out); });
  helpers_.emplace_back([shared = shared_, fd = err[0]] { shared->Collect(fd, &Shared::err); });
  if (options.input.empty()) {
    ::close(in[1]);
  } else {
    helpers_.emplace_back([input = std::move(options.input), fd = in[1]] { Feed(fd, input); });
  }
}

Command::~Command() {
  if (!reaped_) {
    Signal(SIGKILL);
    Wait(10s);
  }
  // Not joined: a leftover that holds a pipe must not hang the test.
  for (std::thread& helper : helpers_) helper.detach();
}

void Command::Signal(int signal) const { ::kill(pid_, signal); }

Outcome Command::Wait(std::chrono::milliseconds at_most) {
  Outcome outcome;
  siginfo_t info{};
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  bool ended = false;
  const auto give_up = std::chrono::steady_clock::now() + at_most;
  while (!ended) {
    ended = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG) == 0 &&
            info.si_pid == pid_;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        give_up - std::chrono::steady_clock::now());
    if (ended || left <= 0ms) break;
    pollfd fd{pidfd, POLLIN, 0};
    // Without pidfd (an old kernel) a short sleep stands in.
    ::poll(&fd, pidfd >= 0 ? 1 : 0, pidfd >= 0 ? static_cast<int>(left.count()) : 2);
  }
  outcome.elapsed = std::chrono::steady_clock::now() - started_;
  if (pidfd >= 0) ::close(pidfd);
  if (!ended) {
    Signal(SIGKILL);
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED);
  } else {
    outcome.status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  }
  reaped_ = true;
  // Whoever is left may hold the pipes: no longer than the caller wants to wait.
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait_until(lock, give_up, [this] { return shared_->open == 0; });
  outcome.out = shared_->out;
  outcome.err = shared_->err;
  return outcome;
}

bool Command::WaitForOutput(const std::function<bool(const std::string&, const std::string&)>& seen,
                            std::chrono::milliseconds at_most) {
  std::unique_lock lock(shared_->mutex);
  return shared_->changed.wait_for(lock, at_most, [&] { return seen(shared_->out, shared_->err); });
}

Outcome RunToEnd(const std::vector<std::string>& arguments, const Scratch& scratch,
                 std::chrono::milliseconds at_most) {
  Command::Options options;
  options.environment = scratch.Environment();
  options.directory = scratch.path();
  return Command(arguments, options).Wait(at_most);
}

std::string Runfile(const std::string& path) {
  const char* root = std::getenv("TEST_SRCDIR");
  const char* workspace = std::getenv("TEST_WORKSPACE");
  if (root == nullptr || workspace == nullptr) return fs::absolute(path);
  return std::string(root) + "/" + workspace + "/" + path;
}

std::string LockstepPath() { return Runfile("launcher/lockstep"); }

}  // namespace lockstep::e2e
