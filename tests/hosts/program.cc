// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/hosts/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <sstream>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::hosts {
namespace {

using base::Result;
using base::Status;
using base::UniqueFd;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr char kPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a step of the start said: the pid of the program, or the errno that it met.
struct Report {
  enum class Step : uint8_t { kStarted, kJoin, kClone, kDirectory, kExec };
  Step step = Step::kStarted;
  int error = 0;
  pid_t pid = -1;
};

/// All that the children need; made before the fork, after which only system calls are safe.
struct Launch {
  int pidfd = -1;
  int namespaces = 0;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  const char* directory = "/";
  int streams[3] = {-1, -1, -1};  // -1 = ours stays
  bool own_session = true;
  int report_fd = -1;
  int go_fd = -1;
};

[[noreturn]] void Fail(int report_fd, Report::Step step) {
  Report report;
  report.step = step;
  report.error = errno;
  (void)!::write(report_fd, &report, sizeof report);
  ::_exit(127);
}

[[noreturn]] void Exec(const Launch& launch) {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (launch.own_session) ::setsid();
  for (int stream = 0; stream < 3; ++stream) {
    if (launch.streams[stream] >= 0) ::dup2(launch.streams[stream], stream);
  }
  if (::chdir(launch.directory) != 0) Fail(launch.report_fd, Report::Step::kDirectory);
  // Descriptors that a library of ours opened without CLOEXEC are none of the program's business.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(launch.arguments[0], launch.arguments.data(), launch.environment.data());
  Fail(launch.report_fd, Report::Step::kExec);
}

/// In a child of ours. It is not in the pid namespace that it joins, but its child is, with a pid
/// that is also one of ours. It stays to reap that child: a zombie that waits for the test would
/// hold up the end of the host's pid 1, and with it Kill. Its exit status is the program's, as
/// shells say it.
[[noreturn]] void JoinAndReap(const Launch& launch) {
  if (::setns(launch.pidfd, launch.namespaces) != 0) Fail(launch.report_fd, Report::Step::kJoin);
  const long program = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (program < 0) Fail(launch.report_fd, Report::Step::kClone);
  if (program == 0) Exec(launch);
  // Nothing of the test may stay open here, least of all what ends the hosts when the test dies.
  const int report_fd = ::fcntl(launch.report_fd, F_DUPFD, 16);
  const int go_fd = ::fcntl(launch.go_fd, F_DUPFD, 16);
  ::dup2(report_fd, 0);
  ::dup2(go_fd, 1);
  ::close_range(2, ~0U, 0);
  Report report;
  report.pid = static_cast<pid_t>(program);
  (void)!::write(0, &report, sizeof report);
  ::close(0);
  // Not before we have a pidfd of it, lest the pid is another's by then.
  char end = 0;
  while (::read(1, &end, 1) < 0 && errno == EINTR) continue;
  int status = 0;
  while (::waitpid(static_cast<pid_t>(program), &status, 0) < 0 && errno == EINTR) continue;
  ::_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

std::string FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  std::istringstream folders(kPath);
  for (std::string path; std::getline(folders, path, ':');) {
    path.append("/").append(name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return name;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

UniqueFd MemoryFile(const char* name, const std::string& content) {
  UniqueFd file(::memfd_create(name, MFD_CLOEXEC));
  for (size_t at = 0; file.valid() && at < content.size();) {
    const ssize_t count = ::write(file.get(), content.data() + at, content.size() - at);
    if (count < 0 && errno != EINTR) return UniqueFd();
    if (count > 0) at += static_cast<size_t>(count);
  }
  if (file.valid()) ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string Content(const UniqueFd& file) {
  struct stat facts{};
  if (!file.valid() || ::fstat(file.get(), &facts) != 0) return "";
  std::string text(static_cast<size_t>(facts.st_size), '\0');
  size_t at = 0;
  while (at < text.size()) {
    const ssize_t count =
        ::pread(file.get(), text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (count <= 0) break;
    at += static_cast<size_t>(count);
  }
  text.resize(at);
  return text;
}

Status ToStatus(const Report& report, const std::string& program, const std::string& directory) {
  switch (report.step) {
    case Report::Step::kJoin:
      return base::UnavailableError(
          base::ErrnoStatus(report.error, "start " + program + " on a host: setns").message());
    case Report::Step::kClone:
      return base::ErrnoStatus(report.error, "start " + program + " on a host: clone");
    case Report::Step::kDirectory:
      return base::ErrnoStatus(report.error, "start " + program + " in " + directory);
    case Report::Step::kExec:
      return base::ErrnoStatus(report.error, "exec " + program + " on a host");
    case Report::Step::kStarted: break;
  }
  return base::OkStatus();
}

/// One report; false at the end (an exec has closed the pipe) and, `late`, at the deadline.
bool ReadReport(int fd, SteadyClock::time_point give_up, Report& report, bool& late) {
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(give_up - SteadyClock::now());
    pollfd ready{fd, POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (count < 0 && errno == EINTR) continue;
    late = count == 0;
    return count > 0 && ::read(fd, &report, sizeof report) == sizeof report;
  }
}

}  // namespace

Result<std::unique_ptr<Program>> Program::Start(int pidfd, int namespaces,
                                                const std::vector<std::string>& arguments,
                                                const ProgramOptions& options) {
  if (arguments.empty()) return base::InvalidArgumentError("a program without a name");
  std::vector<std::string> words = arguments;
  words[0] = FindProgram(words[0]);
  std::map<std::string, std::string> variables = options.environment;
  variables.insert({{"PATH", kPath}, {"HOME", "/root"}});
  std::vector<std::string> pairs;
  pairs.reserve(variables.size());
  for (const auto& [key, value] : variables) pairs.emplace_back(key).append("=").append(value);

  std::unique_ptr<Program> program(new Program);
  program->own_session_ = !options.terminal;
  UniqueFd input;
  if (!options.terminal) {
    input = MemoryFile("stdin", options.input);
    program->out_ = MemoryFile("stdout", "");
    program->err_ = MemoryFile("stderr", "");
    if (!input.valid() || !program->out_.valid() || !program->err_.valid())
      return base::ErrnoStatus(errno, "memfd_create for the streams of " + words[0]);
  }
  int report_ends[2], go_ends[2];
  if (::pipe2(report_ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe2");
  UniqueFd reports(report_ends[0]), childs_reports(report_ends[1]);
  if (::pipe2(go_ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe2");
  UniqueFd childs_go(go_ends[0]), go(go_ends[1]);

  Launch launch;
  launch.pidfd = pidfd;
  launch.namespaces = namespaces;
  launch.arguments = Pointers(words);
  launch.environment = Pointers(pairs);
  launch.directory = options.directory.c_str();
  launch.streams[0] = input.get();
  launch.streams[1] = program->out_.get();
  launch.streams[2] = program->err_.get();
  launch.own_session = program->own_session_;
  launch.report_fd = childs_reports.get();
  launch.go_fd = childs_go.get();

  program->started_ = SteadyClock::now();
  const auto give_up = program->started_ + std::chrono::seconds(10);
  const long reaper = ::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (reaper < 0) return base::ErrnoStatus(errno, "clone to start " + words[0]);
  if (reaper == 0) JoinAndReap(launch);
  program->reaper_ = static_cast<pid_t>(reaper);
  program->reaper_pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, reaper, 0)));
  childs_reports.reset();
  childs_go.reset();

  // The pid comes from the reaper, an error from either; the end when the program has exec'd.
  Report report;
  Status failure;
  bool late = false;
  while (ReadReport(reports.get(), give_up, report, late)) {
    if (report.step == Report::Step::kStarted) {
      program->pid_ = report.pid;
      program->pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, report.pid, 0)));
    } else {
      failure = ToStatus(report, words[0], options.directory);
    }
  }
  if (late)
    failure = base::DeadlineExceededError("no exec of " + words[0] + " on a host within 10 s");
  if (!failure.ok()) return failure;  // the destructor kills and reaps what there is
  if (!program->pidfd_.valid() || !program->reaper_pidfd_.valid())
    return base::UnavailableError("the host died while " + words[0] + " was started on it");
  return program;
}

Program::~Program() {
  if (reaper_ > 0) Wait(milliseconds(0));
}

void Program::Signal(int signal) const {
  if (pidfd_.valid()) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}

bool Program::ReapWithin(milliseconds at_most) {
  const auto give_up = SteadyClock::now() + at_most;
  for (;;) {
    int status = 0;
    if (::waitpid(reaper_, &status, WNOHANG) == reaper_) {
      // A reaper that was killed took the status with it.
      outcome_.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return reaped_ = true;
    }
    const auto left = std::chrono::duration_cast<milliseconds>(give_up - SteadyClock::now());
    if (left.count() <= 0) return false;
    pollfd end{reaper_pidfd_.get(), POLLIN, 0};
    ::poll(&end, 1, static_cast<int>(std::min<int64_t>(left.count(), 60'000)));
  }
}

e2e::Outcome Program::Wait(milliseconds at_most) {
  if (reaped_) return outcome_;
  if (!ReapWithin(at_most)) {
    if (own_session_ && pid_ > 0) ::kill(-pid_, SIGKILL);
    Signal(SIGKILL);
    // Only when it cannot die, as in an uninterruptible wait.
    if (!ReapWithin(std::chrono::seconds(10))) {
      ::kill(reaper_, SIGKILL);
      ReapWithin(std::chrono::seconds(1));
    }
    outcome_.status = -1;
    reaped_ = true;
  }
  outcome_.elapsed = SteadyClock::now() - started_;
  outcome_.out = out();
  outcome_.err = err();
  return outcome_;
}

std::string Program::out() const { return Content(out_); }
std::string Program::err() const { return Content(err_); }

bool Program::WaitForOutput(const std::function<bool(const std::string&, const std::string&)>& seen,
                            milliseconds at_most) const {
  return e2e::Eventually([&] { return seen(out(), err()); }, at_most);
}

}  // namespace lockstep::hosts
