// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/front/front.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "launcher/exit_codes.h"
#include "launcher/front/front_link.h"
#include "runtime/base/errno_status.h"
#include "runtime/process/descendants.h"
#include "runtime/process/fork_child.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kOrphanDeadline = 10s;
// The ranks are stopped by then or never will be; the terminal's user waits for the prompt.
constexpr int kSuspendWaitMs = 1000;

// From `fg` until the job gets what is typed.
constexpr int kBackgroundLookMs = 200;

constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};

/// The forwarded signals but those that our parent had us ignore (nohup, a shell's background job),
/// and CHLD.
sigset_t HandledSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  for (const int signal : kForwarded) {
    struct sigaction action{};
    ::sigaction(signal, nullptr, &action);
    // A blocked signal is queued even when it is ignored, so an ignored one must not be asked for.
    if (action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
  return set;
}

/// A process that guards one agent until it has ended.
class Guard {
 public:
  struct Deps {
    pid_t agent = -1;
    base::UniqueFd link;
    base::UniqueFd signals;
    std::vector<process::ProcStat> not_ours;  // children that were there before
    std::function<void()> on_started;
    std::function<void(int signal, pid_t agent)> on_agent_lost;
  };

  explicit Guard(Deps deps)
      : agent_(deps.agent),
        link_(std::move(deps.link)),
        signals_(std::move(deps.signals)),
        not_ours_(std::move(deps.not_ours)),
        on_started_(std::move(deps.on_started)),
        on_agent_lost_(std::move(deps.on_agent_lost)) {}

  /// Returns the exit status of `lockstep run`.
  int Run() {
    while (true) {
      TellWhoseInput();
      Wait();
      ReadSignals();
      ReadNews();
      if (const std::optional<int> status = AgentStatus()) return *status;
    }
  }

 private:
  void Wait() {
    pollfd fds[] = {{signals_.get(), POLLIN, 0}, {link_.get(), POLLIN, 0}};
    ::poll(fds, link_.valid() ? 2 : 1, in_background_ ? kBackgroundLookMs : -1);
  }

  void Tell(uint8_t byte) {
    if (link_.valid()) SendByte(link_.get(), byte);
  }

  /// The agent, in a session of its own, would read what is typed for the shell: the kernel stops
  /// only readers of the terminal's own session. Into the background a job comes by a TSTP; of its
  /// way back (`fg` of one that runs) no signal tells.
  void TellWhoseInput() {
    if (!has_terminal_) return;
    const pid_t foreground = ::tcgetpgrp(STDIN_FILENO);
    // Negative: a terminal that is not our session's, where nobody else is in the foreground for us.
    SetInBackground(foreground >= 0 && foreground != ::getpgrp());
  }

  void SetInBackground(bool background) {
    if (std::exchange(in_background_, background) == background) return;
    Tell(static_cast<uint8_t>(background ? FrontNews::kInBackground : FrontNews::kInForeground));
  }

  void ReadSignals() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int signal = static_cast<int>(info.ssi_signo);
      if (signal == SIGCHLD) continue;  // AgentStatus() asks the kernel each time round
      Tell(static_cast<uint8_t>(signal));
      if (signal == SIGTSTP) StopUntilContinued();
    }
  }

  /// The ranks first, so that none of them runs while the user believes that the job is stopped.
  void StopUntilContinued() {
    SetInBackground(has_terminal_);
    suspended_ = false;
    const auto give_up =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(kSuspendWaitMs);
    while (!suspended_ && link_.valid() && std::chrono::steady_clock::now() < give_up) {
      pollfd fds[] = {{link_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      ::poll(fds, 2, 50);
      ReadNews();
      if (fds[1].revents != 0 && WasContinued()) return;
    }
    // A CONT that came meanwhile would be lost: a stop takes back those that are pending.
    if (!WasContinued()) ::raise(SIGSTOP);
  }

  /// Takes what has come; true when a CONT was among it, which then has been passed on.
  bool WasContinued() {
    bool continued = false;
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int signal = static_cast<int>(info.ssi_signo);
      continued = continued || signal == SIGCONT;
      if (signal != SIGCHLD && signal != SIGTSTP) Tell(static_cast<uint8_t>(signal));
    }
    return continued;
  }

  void ReadNews() {
    while (link_.valid()) {
      uint8_t byte = 0;
      const ReadOutcome outcome = ReadByte(link_.get(), &byte);
      if (outcome == ReadOutcome::kNothingYet) return;
      if (outcome == ReadOutcome::kClosed) {
        link_.reset();
        return;
      }
      if (static_cast<AgentNews>(byte) == AgentNews::kSuspended) suspended_ = true;
      if (static_cast<AgentNews>(byte) == AgentNews::kStarted) on_started_();
    }
  }

  /// Also takes the statuses of all others that ended: as a container's first process we are the
  /// parent of every orphan.
  std::optional<int> AgentStatus() {
    while (true) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid == 0) return std::nullopt;
      if (pid < 0 && errno == EINTR) continue;
      if (pid > 0 && pid != agent_) continue;
      if (pid == agent_ && WIFEXITED(status)) return WEXITSTATUS(status);
      return EndOrphans(pid == agent_ ? WTERMSIG(status) : 0);
    }
  }

  int EndOrphans(int signal) {
    const base::Status ended = process::KillDescendants(kOrphanDeadline, not_ours_);
    on_agent_lost_(signal, agent_);
    std::fprintf(stderr, "lockstep: the agent (pid %d) was killed by signal %d (%s); %s\n",
                 static_cast<int>(agent_), signal, ::sigdescr_np(signal),
                 ended.ok() ? "everything that it left was ended" : ended.ToString().c_str());
    return static_cast<int>(ExitCode::kAgentLost);
  }

  const pid_t agent_;
  base::UniqueFd link_;
  const base::UniqueFd signals_;
  const std::vector<process::ProcStat> not_ours_;
  const std::function<void()> on_started_;
  const std::function<void(int signal, pid_t agent)> on_agent_lost_;
  bool suspended_ = false;
  const bool has_terminal_ = ::isatty(STDIN_FILENO) == 1;
  bool in_background_ = has_terminal_;  // as the agent believes
};

int Fail(const base::Status& status) {
  std::fprintf(stderr, "lockstep: %s\n", status.ToString().c_str());
  return static_cast<int>(status.code() == base::Code::kResourceExhausted ? ExitCode::kNoResources
                                                                         : ExitCode::kInternal);
}

int ForkAndGuard(const FrontOptions& options, const AgentBody& agent_body,
                 std::function<void()> on_started) {
  std::vector<process::ProcStat> not_ours = process::LivingChildren();
  if (const base::Status status = process::BecomeSubreaper(); !status.ok()) return Fail(status);
  ::signal(SIGCHLD, SIG_DFL);  // an inherited SIG_IGN would reap the agent behind our back
  const sigset_t handled = HandledSignals();
  ::sigprocmask(SIG_BLOCK, &handled, nullptr);
  base::UniqueFd signals(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) return Fail(base::ErrnoStatus(errno, "signalfd"));

  base::Result<FrontLink> link = MakeFrontLink();
  if (!link.ok()) return Fail(link.status());
  const pid_t front = ::getpid();
  base::Result<pid_t> agent = process::ForkChild([&] {
    signals.reset();
    link->front.reset();
    ::sigprocmask(SIG_UNBLOCK, &handled, nullptr);
    ::setsid();  // the terminal's signals reach the front alone
    return agent_body(std::move(link->agent), front);
  });
  if (!agent.ok()) return Fail(agent.status().WithFrame("while starting the agent"));
  link->agent.reset();
  // Whoever reads what we say may be gone; that must not end the guard. (The agent has its own.)
  ::signal(SIGPIPE, SIG_IGN);
  return Guard({.agent = *agent,
                .link = std::move(link->front),
                .signals = std::move(signals),
                .not_ours = std::move(not_ours),
                .on_started = std::move(on_started),
                .on_agent_lost = options.on_agent_lost})
      .Run();
}

base::Status RedirectOutput(const std::string& path) {
  const base::UniqueFd out(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!out.valid()) return base::ErrnoStatus(errno, "open " + path);
  const base::UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null.valid()) return base::ErrnoStatus(errno, "open /dev/null");
  if (::dup2(null.get(), 0) < 0 || ::dup2(out.get(), 1) < 0 || ::dup2(out.get(), 2) < 0) {
    return base::ErrnoStatus(errno, "dup2");
  }
  return base::OkStatus();
}

void CopyToStderr(const std::string& path) {
  const base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[4096];
  ssize_t count = 0;
  while (file.valid() && (count = ::read(file.get(), bytes, sizeof bytes)) > 0) {
    (void)!::write(STDERR_FILENO, bytes, static_cast<size_t>(count));
  }
}

/// Waits for the background front's one byte (the ranks run) or its end.
int WaitUntilStarted(pid_t background, int started_fd, const FrontOptions& options) {
  char byte = 0;
  ssize_t count = 0;
  do {
    count = ::read(started_fd, &byte, 1);
  } while (count < 0 && errno == EINTR);
  if (count == 1) {
    std::fputs(options.started_message.c_str(), stdout);
    return 0;
  }
  int status = 0;
  while (::waitpid(background, &status, 0) < 0 && errno == EINTR) {
  }
  CopyToStderr(options.detached_output_path);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int RunInBackground(const FrontOptions& options, const AgentBody& agent) {
  int started[2];
  if (::pipe2(started, O_CLOEXEC) != 0) return Fail(base::ErrnoStatus(errno, "pipe"));
  base::UniqueFd read_end(started[0]);
  base::UniqueFd write_end(started[1]);
  base::Result<pid_t> background = process::ForkChild([&] {
    read_end.reset();
    process::CloseInheritedDescriptors(write_end.get());
    ::setsid();
    if (const base::Status status = RedirectOutput(options.detached_output_path); !status.ok())
      return Fail(status);
    const int write_fd = write_end.get();
    return ForkAndGuard(
        options,
        [&](base::UniqueFd link, pid_t front) {
          // Else the agent would keep the caller waiting after the front has died.
          write_end.reset();
          return agent(std::move(link), front);
        },
        [write_fd] { (void)!::write(write_fd, "s", 1); });
  });
  if (!background.ok())
    return Fail(background.status().WithFrame("while going into the background"));
  write_end.reset();
  return WaitUntilStarted(*background, read_end.get(), options);
}

}  // namespace

int RunFront(const FrontOptions& options, const AgentBody& agent) {
  if (options.detach) return RunInBackground(options, agent);
  return ForkAndGuard(options, agent, [] {});
}

}  // namespace lockstep::launcher
