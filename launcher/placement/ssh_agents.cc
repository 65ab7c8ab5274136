// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/ssh_agents.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <utility>

#include "launcher/placement/bootstrap_frame.h"
#include "launcher/verdict/clean_text.h"
#include "runtime/base/errno_status.h"
#include "runtime/net/file_hash.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kSlow = 2s;         // a copy that takes longer is told of
constexpr base::Duration kExitTime = 2s;     // of the ssh of an agent that has said goodbye
constexpr base::Duration kCarrierTime = 1s;  // within which the end of the job is heard of too
constexpr size_t kSaidBytes = 4096;          // kept of what a try wrote to standard error
constexpr size_t kAgentLinesMax = 20;        // kept until the agent has joined
constexpr size_t kNamedMax = 16;

std::string OwnMachine() {
  utsname names{};
  ::uname(&names);
  return names.machine;
}

/// "user@host" or "host".
std::string DestinationOf(const proto::SshPlacement& ssh, const proto::SshHost& host) {
  const std::string& user = host.has_user() ? host.user() : ssh.user();
  return user.empty() ? host.host() : user + "@" + host.host();
}

/// The last kSaidBytes of what was said, fit for a terminal.
void Keep(std::string& said, std::string_view line) {
  said.append(CleanText(line)).append("\n");
  if (said.size() > kSaidBytes) said.erase(0, said.size() - kSaidBytes);
}

}  // namespace

struct SshAgents::Machine {
  enum class Phase : uint8_t { kWaiting, kConnecting, kPreparing, kStarting, kFailed };
  struct Attempt {
    std::unique_ptr<SshLogin> login;  // null: it has ended, or another one was faster
    std::string said;                 // on standard error, its last kSaidBytes
    std::string printed;              // on standard output, before anything of ours
  };

  const Attempt& winning() const { return attempts[winner]; }
  bool IsBusy() const { return phase == Phase::kConnecting || phase == Phase::kPreparing; }

  base::NodeIndex node;
  std::string name;  // as the user wrote it
  std::string destination;
  std::vector<std::string> arguments;  // of ssh
  proto::Bootstrap bootstrap;
  Phase phase = Phase::kWaiting;
  std::array<Attempt, kTriesMax> attempts;
  size_t tried = 0;
  size_t winner = 0;                    // of the attempts, from kPreparing on
  std::vector<std::string> files;       // that it has: the agent, then the program
  std::deque<std::string> agent_lines;  // before it has joined
  std::optional<SshFailure> failure;
  bool is_lost = false;
  event::Registration next_try;  // later: a note to be told
  bool is_copying = false;
  uint64_t taken_bytes = 0;          // of the winner, when the timer was set
  event::Registration answer_timer;  // then that of a step
};

SshAgents::SshAgents(Config config, Deps deps)
    : config_(std::move(config)), deps_(deps), own_machine_(OwnMachine()) {}

SshAgents::~SshAgents() = default;

std::vector<std::string> SshAgents::SshArguments(const proto::SshPlacement& ssh,
                                                 const proto::SshHost& host) {
  // Nobody is there to answer questions; what a user's configuration adds for people at a terminal
  // (forwardings, a master in the background that outlives us) is not wanted.
  std::vector<std::string> words = {"ssh",
                                    "-T",
                                    "-x",
                                    "-o",
                                    "BatchMode=yes",
                                    "-o",
                                    "ConnectTimeout=10",
                                    "-o",
                                    "ClearAllForwardings=yes",
                                    "-o",
                                    "ControlMaster=no",
                                    "-o",
                                    "LogLevel=ERROR"};
  const auto add = [&words](std::string flag, std::string value) {
    words.push_back(std::move(flag));
    words.push_back(std::move(value));
  };
  if (ssh.has_config_file()) add("-F", ssh.config_file());
  if (ssh.has_port()) add("-p", std::to_string(ssh.port()));
  if (ssh.has_identity_file()) add("-i", ssh.identity_file());
  add("--", DestinationOf(ssh, host));
  words.emplace_back(RemoteStartCommand());
  return words;
}

// ---------------------------------------------------------------------------------------- starting

void SshAgents::Start(std::vector<AgentToStart> agents, OnFailed on_failed) {
  on_failed_ = std::move(on_failed);
  for (AgentToStart& agent : agents) {
    const proto::SshHost& host = config_.hosts.at(agent.node);
    auto machine = std::make_unique<Machine>();
    machine->node = agent.node;
    machine->name = host.host();
    machine->destination = DestinationOf(config_.ssh, host);
    machine->arguments = SshArguments(config_.ssh, host);
    machine->bootstrap = std::move(agent.bootstrap);
    machines_.push_back(std::move(machine));
  }
  StartMore();
  slow_ = deps_.loop.After(kSlow, [this] { SayIfSlow(); });
  // Beside the first log-ins, which take ten times as long.
  const base::Status opened = OpenSources();
  if (!opened.ok()) {
    return Fail(*machines_.front(), {.what = opened.ToString(), .cure = "", .unreached = false});
  }
  for (const auto& machine : machines_) {
    for (Machine::Attempt& attempt : machine->attempts) {
      if (attempt.login != nullptr) SendRequest(*attempt.login);
    }
  }
}

base::Result<SshAgents::Source> SshAgents::OpenSource(const std::string& path) {
  Source source;
  source.fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status{};
  if (!source.fd.valid() || ::fstat(source.fd.get(), &status) != 0) {
    return base::ErrnoStatus(errno, "open " + path + " to copy it");
  }
  ASSIGN_OR_RETURN(source.file.hash, net::Sha256OfFile(source.fd.get(), path));
  source.file.bytes = static_cast<uint64_t>(status.st_size);
  return source;
}

base::Status SshAgents::OpenSources() {
  ASSIGN_OR_RETURN(agent_, OpenSource(config_.agent_path));
  std::optional<RemoteFile> staged;
  if (!config_.program_path.empty()) {
    ASSIGN_OR_RETURN(program_, OpenSource(config_.program_path));
    staged = program_->file;
  }
  request_ = RemoteStartRequest(agent_.file, staged);
  return base::OkStatus();
}

void SshAgents::SendRequest(SshLogin& login) { login.Write(request_); }

/// As many as may be busy at once; none once one has failed.
void SshAgents::StartMore() {
  size_t busy = 0;
  for (const auto& machine : machines_) {
    if (machine->failure || done_) return;
    if (machine->IsBusy()) ++busy;
  }
  for (const auto& machine : machines_) {
    if (machine->phase != Machine::Phase::kWaiting) continue;
    if (busy++ >= kAtOnceMax) return;
    machine->phase = Machine::Phase::kConnecting;
    machine->answer_timer = deps_.loop.After(
        config_.timing.answer, [this, one = machine.get()] { OnNobodyAnswers(*one); });
    Try(*machine);
  }
}

void SshAgents::Try(Machine& machine) {
  const size_t attempt = machine.tried++;
  base::Result<std::unique_ptr<SshLogin>> login =
      SshLogin::Start({.name = "ssh-" + machine.node.ToString() + "-" + std::to_string(attempt),
                       .arguments = machine.arguments,
                       .environment = topology::ToBlock(config_.environment)},
                      HandlersOf(machine, attempt), {deps_.loop, deps_.processes});
  if (!login.ok()) {
    const bool no_ssh = login.status().code() == base::Code::kNotFound;
    return Fail(machine, {.what = login.status().ToString(),
                          .cure = no_ssh ? "install it: apt-get install openssh-client" : "",
                          .unreached = false});
  }
  machine.attempts[attempt].login = *std::move(login);
  if (!request_.empty()) SendRequest(*machine.attempts[attempt].login);
  if (machine.tried < kTriesMax) TryLater(machine, config_.timing.next_try);
}

void SshAgents::TryLater(Machine& machine, base::Duration delay) {
  machine.next_try = deps_.loop.After(delay, [this, &machine] { Try(machine); });
}

SshLogin::Handlers SshAgents::HandlersOf(Machine& machine, size_t attempt) {
  return {.on_line = [this, &machine,
                      attempt](std::string_view line) { OnLine(machine, attempt, line); },
          .on_error_line = [this, &machine, attempt](
                               std::string_view line) { OnErrorLine(machine, attempt, line); },
          .on_ended = [this, &machine,
                       attempt](const process::Exit& exit) { OnEnded(machine, attempt, exit); }};
}

// ------------------------------------------------------------------------------ what a log-in says

void SshAgents::OnLine(Machine& machine, size_t attempt, std::string_view line) {
  using Kind = RemoteStartLine::Kind;
  if (machine.attempts[attempt].login == nullptr) return;  // dropped, and its last words came
  const std::optional<RemoteStartLine> parsed = ParseRemoteStartLine(line);
  const bool first = machine.phase == Machine::Phase::kConnecting;
  // Log-in scripts print what they like, and a shell that refuses its user says why.
  if (!parsed && first) Keep(machine.attempts[attempt].printed, line);
  if (!parsed || machine.failure || (!first && attempt != machine.winner)) return;
  if (first && parsed->kind == Kind::kHello) {
    machine.phase = Machine::Phase::kPreparing;
    machine.winner = attempt;
    machine.next_try.reset();
    for (size_t other = 0; other < kTriesMax; ++other) {
      if (other != attempt) Drop(machine.attempts[other].login);
    }
    if (parsed->text != own_machine_) {
      return Fail(machine, ExplainOtherMachine(CleanText(parsed->text), own_machine_));
    }
    AwaitStep(machine);
    return CheckAllDecided();
  }
  if (machine.phase != Machine::Phase::kPreparing) return;
  switch (parsed->kind) {
    case Kind::kHello: return;
    case Kind::kNeed: return SendFile(machine);
    case Kind::kHave: return OnHave(machine, parsed->text);
    case Kind::kRun: return SendBootstrap(machine);
    case Kind::kFail: {
      const std::string& said = machine.attempts[attempt].said;
      return Fail(machine,
                  {.what = CleanText(parsed->text) + (said.empty() ? "" : " (" + said + ")"),
                   .cure = "",
                   .unreached = false});
    }
  }
}

/// At most one step's time from now on for whatever comes next.
void SshAgents::AwaitStep(Machine& machine) {
  const uint64_t bytes = agent_.file.bytes + (program_ ? program_->file.bytes : 0);
  const base::Duration hashing =
      config_.timing.hash_of_mb * static_cast<int64_t>(bytes / 1'000'000);
  const base::Duration step =
      (machine.is_copying ? config_.timing.copy_step : config_.timing.step) + hashing;
  machine.taken_bytes = machine.winning().login->taken_bytes();
  machine.answer_timer =
      deps_.loop.After(step, [this, &machine, step] { OnStepTimeout(machine, step); });
}

void SshAgents::OnStepTimeout(Machine& machine, base::Duration step) {
  if (machine.winning().login->taken_bytes() != machine.taken_bytes) return AwaitStep(machine);
  const std::string& said = machine.winning().said;
  Fail(machine, {.what = std::string("it answered, and then nothing came within ") +
                         base::FormatDuration(step) + " while " +
                         (machine.is_copying ? "lockstep was copied to it"
                                             : "it looked for its copy of lockstep") +
                         (said.empty() ? "" : " (" + said + ")"),
                 .cure = "see whether ~/.cache/lockstep there can be read and written (a network "
                         "file system that hangs, a full disk)",
                 .unreached = false});
}

void SshAgents::OnHave(Machine& machine, const std::string& path) {
  machine.is_copying = false;
  // The agent and the program: the script has no more.
  if (machine.files.size() < (program_ ? 2u : 1u)) machine.files.push_back(path);
  AwaitStep(machine);
}

void SshAgents::SendFile(Machine& machine) {
  const Source& source = machine.files.empty() || !program_ ? agent_ : *program_;
  machine.is_copying = true;
  machine.attempts[machine.winner].login->WriteFile(source.fd.get(), source.file.bytes);
  AwaitStep(machine);
}

void SshAgents::SendBootstrap(Machine& machine) {
  machine.phase = Machine::Phase::kStarting;
  machine.answer_timer.reset();
  machine.attempts[machine.winner].said.clear();
  if (program_ && machine.files.size() > 1) {
    machine.bootstrap.set_staged_program(machine.files.back());
  }
  SshLogin& login = *machine.attempts[machine.winner].login;
  login.Write(BootstrapFrame(machine.bootstrap));
  std::string& key = *machine.bootstrap.mutable_key();
  ::explicit_bzero(key.data(), key.size());
  machine.bootstrap.Clear();
  StartMore();
}

void SshAgents::OnErrorLine(Machine& machine, size_t attempt, std::string_view line) {
  constexpr std::string_view kOwn = "lockstep: ";
  Keep(machine.attempts[attempt].said, line);
  if (machine.phase != Machine::Phase::kStarting || attempt != machine.winner) return;
  if (line.starts_with(kOwn)) line.remove_prefix(kOwn.size());
  std::string text = "host " + machine.name + ": " + CleanText(line);
  if (all_joined_) return config_.say(text);
  machine.agent_lines.push_back(std::move(text));
  if (machine.agent_lines.size() > kAgentLinesMax) machine.agent_lines.pop_front();
}

void SshAgents::OnEnded(Machine& machine, size_t attempt, const process::Exit& exit) {
  Machine::Attempt& ended = machine.attempts[attempt];
  Drop(ended.login);
  if (done_) return CheckAllEnded();
  if (machine.failure) return;
  switch (machine.phase) {
    case Machine::Phase::kWaiting:
    case Machine::Phase::kFailed: return;
    case Machine::Phase::kConnecting:
      return OnTryFailed(machine,
                         ExplainSshEnd(machine.destination, exit, ended.said + ended.printed));
    case Machine::Phase::kPreparing:
      return Fail(machine, ExplainSshEnd(machine.destination, exit, ended.said));
    case Machine::Phase::kStarting:
      if (!all_joined_) return Fail(machine, ExplainAgentEnd(exit, ended.said));
      return OnCarrierLost(machine, exit);
  }
}

/// The agent has its own connection and goes on, unless it was the end of the job that ended both.
void SshAgents::OnCarrierLost(Machine& machine, const process::Exit& exit) {
  if (exit.signal == 0 && exit.code != kSshFailed) return;
  machine.next_try = deps_.loop.After(kCarrierTime, [this, &machine, how = exit.ToString()] {
    config_.say("host " + machine.name + ": ssh ended (" + how +
                "); the job goes on, but what its agent says can no longer be shown");
  });
}

/// Destroys it from the loop: we may be in a call of it.
void SshAgents::Drop(std::unique_ptr<SshLogin>& login) {
  if (login == nullptr) return;
  dropped_.push_back(std::move(login));
  sweep_ = deps_.loop.After(base::Duration(0), [this] { dropped_.clear(); });
}

// ----------------------------------------------------------------------------------------- failing

void SshAgents::OnTryFailed(Machine& machine, const SshFailure& failure) {
  if (!failure.may_pass) return Fail(machine, failure);
  const bool others = std::any_of(machine.attempts.begin(), machine.attempts.end(),
                                  [](const auto& attempt) { return attempt.login != nullptr; });
  if (machine.tried < kTriesMax) {
    return TryLater(machine, config_.timing.backoff * (machine.tried == 1 ? 1 : 3));
  }
  if (!others) Fail(machine, failure);
}

void SshAgents::OnNobodyAnswers(Machine& machine) {
  Fail(machine, {.what = "it does not answer within " + base::FormatDuration(config_.timing.answer),
                 .cure = "see whether it is up and no firewall is between",
                 .may_pass = false});
}

void SshAgents::Fail(Machine& machine, const SshFailure& failure) {
  if (machine.failure) return;
  machine.failure = failure;
  machine.phase = Machine::Phase::kFailed;
  machine.next_try.reset();
  machine.answer_timer.reset();
  for (Machine::Attempt& attempt : machine.attempts) Drop(attempt.login);
  CheckAllDecided();
}

/// One that has failed ends the job; those that connect may still turn out to be as bad.
void SshAgents::CheckAllDecided() {
  bool failed = false;
  for (const auto& machine : machines_) {
    if (machine->failure) failed = true;
    if (machine->phase == Machine::Phase::kConnecting) return;
  }
  if (!failed || told_ || done_) return;
  told_ = true;
  tell_ = deps_.loop.After(base::Duration(0), [this] { TellFailure(); });
}

void SshAgents::TellFailure() {
  std::vector<const Machine*> failed;
  bool unreached = true;
  for (const auto& machine : machines_) {
    if (!machine->failure) continue;
    failed.push_back(machine.get());
    unreached = unreached && machine->failure->unreached;
  }
  const std::string verb = unreached ? "cannot be reached" : "cannot run this job";
  if (failed.size() == 1) {
    const SshFailure& failure = *failed[0]->failure;
    return on_failed_(failed[0]->node,
                      base::Status(failure.code, "host " + failed[0]->name + " " + verb + ": " +
                                                     failure.ToString()));
  }
  std::string names;
  for (size_t i = 0; i < failed.size(); ++i) {
    config_.say("host " + failed[i]->name + ": " + failed[i]->failure->ToString());
    if (i < kNamedMax) names += (i == 0 ? "" : ", ") + failed[i]->name;
  }
  if (failed.size() > kNamedMax) names += " ...";
  on_failed_(failed[0]->node, base::Status(failed[0]->failure->code,
                                           std::to_string(failed.size()) + " of " +
                                               std::to_string(machines_.size()) + " hosts " + verb +
                                               ": " + names + "; see the line of each above"));
}

void SshAgents::SayIfSlow() {
  size_t copying = 0;
  for (const auto& machine : machines_) {
    if (machine->phase == Machine::Phase::kPreparing) ++copying;
  }
  if (copying == 0 || all_joined_ || told_ || done_) return;
  config_.say("copying lockstep to " + std::to_string(copying) +
              (copying == 1 ? " host" : " hosts") + ", once for each version of it");
}

// ------------------------------------------------------------------------------------------ ending

void SshAgents::OnAllJoined() {
  all_joined_ = true;
  for (const auto& machine : machines_) {
    for (const std::string& line : machine->agent_lines) config_.say(line);
    machine->agent_lines.clear();
  }
}

void SshAgents::OnLost(base::NodeIndex node) {
  for (const auto& machine : machines_) {
    if (machine->node == node) machine->is_lost = true;
  }
}

void SshAgents::Finish(std::function<void()> done) {
  done_ = std::move(done);
  tell_.reset();
  for (const auto& machine : machines_) {
    machine->next_try.reset();
    machine->answer_timer.reset();
    for (Machine::Attempt& attempt : machine->attempts) {
      if (attempt.login == nullptr) continue;
      attempt.login->CloseInput();
      // One that never got its bootstrap does nothing without us; a lost one may never end.
      if (machine->phase != Machine::Phase::kStarting || machine->is_lost) Drop(attempt.login);
    }
  }
  give_up_ = deps_.loop.After(kExitTime, [this] { std::exchange(done_, {})(); });
  CheckAllEnded();
}

void SshAgents::CheckAllEnded() {
  if (!done_) return;
  for (const auto& machine : machines_) {
    for (const Machine::Attempt& attempt : machine->attempts) {
      if (attempt.login != nullptr) return;
    }
  }
  give_up_ = deps_.loop.After(base::Duration(0), [this] { std::exchange(done_, {})(); });
}

}  // namespace lockstep::launcher
