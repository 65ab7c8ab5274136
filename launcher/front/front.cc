// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/front/front.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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
constexpr base::Duration kSuspendWait = 1s;
// How often it is asked meanwhile whether a CONT has taken the stop back.
constexpr int kStopLookMs = 50;

// For an agent to hear that the job is to end. It hears it at once, unless it is stopped for good,
// or is blocked: by a disk, say, for which the first one has time.
constexpr base::Duration kHearTime = 10s;
constexpr base::Duration kHearTimeOfSecond = 2s;

// From `fg` until the job gets what is typed.
constexpr int kBackgroundLookMs = 200;

constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT};

/// What is asked of the kernel: `read` (the forwarded signals and CHLD) and `stop` (TSTP), without
/// those that our parent had us ignore (nohup, a shell's background job).
struct HandledSignals {
  HandledSignals() {
    ::sigemptyset(&read);
    ::sigemptyset(&stop);
    ::sigaddset(&read, SIGCHLD);
    for (const int signal : kForwarded) AddUnlessIgnored(signal, read);
    AddUnlessIgnored(SIGTSTP, stop);
  }
  void SetBlocked(bool blocked) const {
    const int how = blocked ? SIG_BLOCK : SIG_UNBLOCK;
    ::sigprocmask(how, &read, nullptr);
    ::sigprocmask(how, &stop, nullptr);
  }

  sigset_t read;
  sigset_t stop;

 private:
  static void AddUnlessIgnored(int signal, sigset_t& set) {
    struct sigaction action{};
    ::sigaction(signal, nullptr, &action);
    // A blocked signal is queued even when it is ignored, so an ignored one must not be asked for.
    if (action.sa_handler != SIG_IGN) ::sigaddset(&set, signal);
  }
};

/// A process that guards one agent until it has ended.
class Guard {
 public:
  struct Deps {
    pid_t agent = -1;
    base::UniqueFd link;
    base::UniqueFd signals;
    base::UniqueFd stops;                     // readable while a TSTP is pending; nobody reads it
    std::vector<process::ProcStat> not_ours;  // children that were there before
    std::function<void()> on_started;
  };

  explicit Guard(Deps deps)
      : agent_(deps.agent),
        link_(std::move(deps.link)),
        signals_(std::move(deps.signals)),
        stops_(std::move(deps.stops)),
        not_ours_(std::move(deps.not_ours)),
        on_started_(std::move(deps.on_started)) {}

  AgentEnd Run() {
    while (true) {
      TellWhoseInput();
      Wait();
      ReadSignals();
      if (IsStopPending()) Stop();
      ReadNews();
      KillDeaf();
      if (std::optional<AgentEnd> end = FindEnd()) return *std::move(end);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  void Wait() {
    pollfd fds[] = {
        {signals_.get(), POLLIN, 0}, {stops_.get(), POLLIN, 0}, {link_.get(), POLLIN, 0}};
    ::poll(fds, link_.valid() ? 3 : 2, WaitMs());
  }

  /// -1: until something comes.
  int WaitMs() const {
    const int look = in_background_ ? kBackgroundLookMs : -1;
    if (!hears_until_) return look;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*hears_until_ - Clock::now());
    const int due = static_cast<int>(std::max(left, std::chrono::milliseconds(0)).count());
    return look < 0 ? due : std::min(look, due);
  }

  void Tell(uint8_t byte) {
    if (link_.valid()) SendByte(link_.get(), byte);
  }

  void PassOn(int signal) {
    Tell(static_cast<uint8_t>(signal));
    if (!AsksForEnd(signal) || is_deaf_) return;
    // Whoever has stopped it would keep the user from ending the job.
    ::kill(agent_, SIGCONT);
    const Clock::time_point until = Clock::now() + (hears_until_ ? kHearTimeOfSecond : kHearTime);
    hears_until_ = hears_until_ ? std::min(*hears_until_, until) : until;
  }

  /// What it leaves is then ended as that of an agent that somebody else has killed.
  void KillDeaf() {
    if (!hears_until_ || Clock::now() < *hears_until_) return;
    hears_until_.reset();
    is_deaf_ = true;
    ::kill(agent_, SIGKILL);
  }

  /// The agent, in a session of its own, would read what is typed for the shell: the kernel stops
  /// only readers of the terminal's own session. Into the background a job comes by a TSTP; of its
  /// way back (`fg` of one that runs) no signal tells.
  void TellWhoseInput() {
    if (!has_terminal_) return;
    const pid_t foreground = ::tcgetpgrp(STDIN_FILENO);
    // Negative: a terminal that is not our session's, where nobody else is in the foreground for
    // us.
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
      if (signal != SIGCHLD) PassOn(signal);  // FindEnd() asks the kernel each time round
    }
  }

  /// A TSTP stays with the kernel until Stop() takes it: a CONT, however soon it comes, takes it
  /// back there, while one that came between our reading of the TSTP and our own stop would be
  /// lost.
  static bool IsStopPending() {
    sigset_t pending;
    return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGTSTP) == 1;
  }

  /// The ranks first, so that none of them runs while the user believes that the job is stopped.
  void Stop() {
    SetInBackground(has_terminal_);
    suspended_ = false;
    Tell(SIGTSTP);
    const Clock::time_point give_up = Clock::now() + kSuspendWait;
    while (!suspended_ && IsStopPending() && link_.valid() && Clock::now() < give_up) {
      pollfd fds[] = {{link_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      ::poll(fds, 2, kStopLookMs);
      ReadNews();
      ReadSignals();
    }
    sigset_t stop;
    ::sigemptyset(&stop);
    ::sigaddset(&stop, SIGTSTP);
    ::sigprocmask(SIG_UNBLOCK, &stop, nullptr);  // here we stop, if it is still pending
    ::sigprocmask(SIG_BLOCK, &stop, nullptr);
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
      if (static_cast<AgentNews>(byte) == AgentNews::kHeard) hears_until_.reset();
      if (static_cast<AgentNews>(byte) == AgentNews::kSuspended) suspended_ = true;
      if (static_cast<AgentNews>(byte) == AgentNews::kStarted) on_started_();
    }
  }

  /// Also takes the statuses of all others that ended: as a container's first process we are the
  /// parent of every orphan.
  std::optional<AgentEnd> FindEnd() {
    while (true) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid == 0) return std::nullopt;
      if (pid < 0 && errno == EINTR) continue;
      if (pid > 0 && pid != agent_) continue;
      if (pid == agent_ && WIFEXITED(status)) return Exited(WEXITSTATUS(status));
      return EndOrphans(pid == agent_ ? WTERMSIG(status) : 0);
    }
  }

  std::string AgentName() const { return "the agent (pid " + std::to_string(agent_) + ")"; }

  AgentEnd Exited(int status) const {
    if (status == 0) return {};
    return {.how = AgentEnd::How::kExited,
            .exit_status = status,
            .why = AgentName() + " ended with exit status " + std::to_string(status) +
                   " and could not write down why; it was printed to standard error"};
  }

  /// `signal` is 0 when somebody else has taken the agent's status.
  AgentEnd EndOrphans(int signal) const {
    const base::Status ended = process::KillDescendants(kOrphanDeadline, not_ours_);
    std::string why = AgentName() + " has ended, and its parent was not told how";
    if (signal != 0) {
      const char* const name = ::sigdescr_np(signal);  // null for real-time signals
      why = AgentName() + " was killed by signal " + std::to_string(signal) + " (" +
            (name != nullptr ? name : "a real-time signal") + ")";
    }
    if (is_deaf_) why = AgentName() + " did not answer the wish to end the job, and was killed";
    std::fprintf(stderr, "lockstep: %s; %s\n", why.c_str(),
                 ended.ok() ? "everything that it left was ended" : ended.ToString().c_str());
    return {.how = AgentEnd::How::kKilled,
            .exit_status = static_cast<int>(ExitCode::kAgentLost),
            .why = std::move(why)};
  }

  const pid_t agent_;
  base::UniqueFd link_;
  const base::UniqueFd signals_;
  const base::UniqueFd stops_;
  const std::vector<process::ProcStat> not_ours_;
  const std::function<void()> on_started_;
  bool suspended_ = false;
  std::optional<Clock::time_point> hears_until_;  // a wish to end the job, else it is killed
  bool is_deaf_ = false;                          // it was killed for that
  const bool has_terminal_ = ::isatty(STDIN_FILENO) == 1;
  bool in_background_ = has_terminal_;  // as the agent believes
};

/// The job ends before it has an agent.
int GiveUp(const FrontOptions& options, const base::Status& why) {
  std::fprintf(stderr, "lockstep: %s\n", why.ToString().c_str());
  const ExitCode code =
      why.code() == base::Code::kResourceExhausted ? ExitCode::kNoResources : ExitCode::kInternal;
  const AgentEnd end{.how = AgentEnd::How::kNeverStarted,
                     .exit_status = static_cast<int>(code),
                     .why = why.ToString()};
  options.on_agent_end(end);
  return end.exit_status;
}

/// Forks the agent; the caller is a process that guards it from then on.
base::Result<Guard::Deps> StartAgent(const AgentBody& agent_body) {
  Guard::Deps guard;
  ASSIGN_OR_RETURN(guard.not_ours, process::LivingChildren());
  RETURN_IF_ERROR(process::BecomeSubreaper());
  ::signal(SIGCHLD, SIG_DFL);  // an inherited SIG_IGN would reap the agent behind our back
  const HandledSignals handled;
  handled.SetBlocked(true);
  guard.signals.reset(::signalfd(-1, &handled.read, SFD_CLOEXEC | SFD_NONBLOCK));
  guard.stops.reset(::signalfd(-1, &handled.stop, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!guard.signals.valid() || !guard.stops.valid()) return base::ErrnoStatus(errno, "signalfd");

  ASSIGN_OR_RETURN(FrontLink link, MakeFrontLink());
  const pid_t front = ::getpid();
  ASSIGN_OR_RETURN(guard.agent, process::ForkChild([&] {
                     guard.signals.reset();
                     guard.stops.reset();
                     link.front.reset();
                     handled.SetBlocked(false);
                     ::setsid();  // the terminal's signals reach the front alone
                     return agent_body(std::move(link.agent), front);
                   }));
  // Whoever reads what we say may be gone; that must not end the guard. (The agent has its own.)
  ::signal(SIGPIPE, SIG_IGN);
  guard.link = std::move(link.front);
  return guard;
}

int StartAndGuard(const FrontOptions& options, const AgentBody& agent,
                  std::function<void()> on_started) {
  base::Result<Guard::Deps> guard = StartAgent(agent);
  if (!guard.ok()) return GiveUp(options, guard.status().WithFrame("while starting the agent"));
  guard->on_started = std::move(on_started);
  const AgentEnd end = Guard(*std::move(guard)).Run();
  options.on_agent_end(end);
  return end.exit_status;
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
    std::fputs(options.started_message().c_str(), stdout);
    return 0;
  }
  int status = 0;
  while (::waitpid(background, &status, 0) < 0 && errno == EINTR) {
  }
  CopyToStderr(options.detached_output_path);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// What the process in the background does. Closes `started` after one byte when the ranks run, and
/// without one when it ends before.
int GuardInBackground(const FrontOptions& options, const AgentBody& agent, base::UniqueFd started) {
  process::CloseInheritedDescriptors(started.get());
  ::setsid();
  if (const base::Status status = RedirectOutput(options.detached_output_path); !status.ok()) {
    return GiveUp(options, status);
  }
  return StartAndGuard(
      options,
      [&](base::UniqueFd link, pid_t front) {
        // Else the agent would keep the caller waiting after the front has died.
        started.reset();
        return agent(std::move(link), front);
      },
      [&started] {
        (void)!::write(started.get(), "s", 1);
        started.reset();
      });
}

base::Result<pid_t> ForkIntoBackground(const FrontOptions& options, const AgentBody& agent,
                                       base::UniqueFd& started) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe");
  base::UniqueFd read_end(fds[0]);
  base::UniqueFd write_end(fds[1]);
  ASSIGN_OR_RETURN(const pid_t background, process::ForkChild([&] {
                     read_end.reset();
                     return GuardInBackground(options, agent, std::move(write_end));
                   }));
  started = std::move(read_end);
  return background;
}

int RunInBackground(const FrontOptions& options, const AgentBody& agent) {
  base::UniqueFd started;
  const base::Result<pid_t> background = ForkIntoBackground(options, agent, started);
  if (!background.ok()) {
    return GiveUp(options, background.status().WithFrame("while going into the background"));
  }
  return WaitUntilStarted(*background, started.get(), options);
}

}  // namespace

int RunFront(const FrontOptions& options, const AgentBody& agent) {
  if (options.detach) return RunInBackground(options, agent);
  return StartAndGuard(options, agent, [] {});
}

}  // namespace lockstep::launcher
