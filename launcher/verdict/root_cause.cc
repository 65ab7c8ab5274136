// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/root_cause.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <set>

#include "launcher/exit_codes.h"
#include "launcher/verdict/clean_text.h"
#include "runtime/base/check.h"

namespace lockstep::launcher {

namespace {

using elastic::Decision;
using elastic::RankExit;
using elastic::RankRecord;
using elastic::RoundEnd;
using elastic::RoundOutcome;
using proto::Evidence;
using proto::Verdict;

std::string SignalText(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return "signal " + std::to_string(signal) +
         (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

std::string Clean(std::string_view text) { return ClipLine(CleanText(text), kEvidenceLineColumns); }

std::string ExitText(const RankExit& exit) {
  if (exit.out_of_memory) {
    return "out of memory: killed by " + SignalText(exit.signal) +
           " when its memory limit was reached";
  }
  if (exit.signal != 0) return "killed by " + SignalText(exit.signal);
  return "exit code " + std::to_string(exit.exit_code);
}

std::string WhyText(const RankRecord& rank) {
  if (rank.lost) return "its node was lost";
  if (rank.accusation) {
    const std::string by =
        rank.accusation->by ? "given up by rank " + rank.accusation->by->ToString() + ": " : "";
    return by + Clean(rank.accusation->why);
  }
  return rank.exit.has_value() ? ExitText(*rank.exit)
                               : "could not be started: " + Clean(rank.error.message());
}

int LaunchExitStatus(base::Code code) {
  switch (code) {
    case base::Code::kNotFound: return static_cast<int>(ExitCode::kNotFound);
    case base::Code::kPermissionDenied:
    case base::Code::kInvalidArgument:
    case base::Code::kFailedPrecondition:  // somebody has it open for writing (ETXTBSY)
      return static_cast<int>(ExitCode::kNotExecutable);
    case base::Code::kResourceExhausted: return static_cast<int>(ExitCode::kNoResources);
    case base::Code::kUnavailable:
    case base::Code::kDeadlineExceeded: return static_cast<int>(ExitCode::kUnavailable);
    default: return static_cast<int>(ExitCode::kInternal);
  }
}

int ExitStatusOf(const RankRecord& culprit, const RoundFacts& facts) {
  // What it ended with is our doing.
  if (culprit.accusation) return static_cast<int>(ExitCode::kUnavailable);
  if (!culprit.exit.has_value()) {
    return facts.folder_failed ? static_cast<int>(ExitCode::kCannotWrite)
                               : LaunchExitStatus(culprit.error.code());
  }
  return culprit.exit->signal != 0 ? 128 + culprit.exit->signal : culprit.exit->exit_code;
}

std::string StopText(int signal, const RoundFacts& facts) {
  return (facts.stopped_by.empty() ? "the user stopped the job"
                                   : "the job was stopped by " + facts.stopped_by) +
         " (" + SignalText(signal) + ")";
}

std::string ReasonText(const RoundOutcome& outcome, const RoundFacts& facts) {
  const std::string of_all = std::to_string(outcome.max_restarts);
  switch (outcome.decision) {
    case Decision::kRestart:
      return "restart " + std::to_string(outcome.restart) + " of " + of_all +
             (outcome.delay > base::Duration(0) ? ", in " + base::FormatDuration(outcome.delay)
                                                : ", at once");
    case Decision::kSucceeded: return "";
    case Decision::kStoppedByUser: return StopText(outcome.stop_signal, facts);
    case Decision::kOutOfRestarts:
      if (outcome.max_restarts == 0) return "no restarts were asked for (--max-restarts)";
      if (outcome.max_restarts == 1) return "the one restart is used (--max-restarts)";
      return "all " + of_all + " restarts are used (--max-restarts)";
    case Decision::kRepeatedFailure:
      return "the same failure came twice without a step of progress";
    case Decision::kCannotLaunch: return "a restart would meet the same error";
    case Decision::kUnkillable: return "a restart beside processes that do not die would be unsafe";
    case Decision::kNodeLost: return "there is no node to take the place of the one that was lost";
    case Decision::kToldToEnd: return "--on-hang asked for that";
    case Decision::kGoOn:
      return std::to_string(outcome.ranks_left) + " of " + std::to_string(outcome.ranks.size()) +
             " ranks are left and go on in round " + outcome.next_round.ToString() +
             " (--on-rank-failure keep)";
  }
  return "";
}

/// Ended, and not by finishing: what the culprit or our teardown did to it. Ranks of a lost node
/// are part of the loss.
/// So are those that the round's survivors have outlived, of what they went by themselves.
bool IsVictim(const RankRecord& rank) {
  if (rank.lost || rank.excluded) return false;
  const bool finished = rank.exit.has_value() && rank.exit->ok() && rank.ended_before_signal;
  return rank.life != RankRecord::Life::kNeverLived && !finished;
}

Evidence* AddEvidence(Verdict& verdict, Evidence::Kind kind, std::optional<base::Rank> rank) {
  Evidence* evidence = verdict.add_evidence();
  evidence->set_kind(kind);
  if (rank.has_value()) evidence->set_rank(rank->value());
  return evidence;
}

void AddRankEvidence(const RankRecord& culprit, const RankEvidence& known, Verdict& verdict) {
  const base::Rank rank = culprit.process.rank;
  const bool ran = culprit.exit.has_value() || culprit.lost || culprit.accusation.has_value();
  AddEvidence(verdict, ran ? Evidence::EXIT : Evidence::LAUNCH, rank)->add_lines(WhyText(culprit));
  if (known.error.has_value()) {
    Evidence* error = AddEvidence(verdict, Evidence::ERROR_FILE, rank);
    error->add_lines(Clean(known.error->message));
    const std::vector<std::string> trace = LinesOf(CleanText(known.error->traceback));
    const size_t first = trace.size() - std::min(trace.size(), kStderrLines);
    for (size_t i = first; i < trace.size(); ++i) error->add_lines(Clean(trace[i]));
  }
  if (!known.stderr_lines.empty()) {
    Evidence* said = AddEvidence(verdict, Evidence::STDERR, rank);
    said->set_path(Clean(known.stderr_path));
    const size_t first =
        known.stderr_lines.size() - std::min(known.stderr_lines.size(), kStderrLines);
    for (size_t i = first; i < known.stderr_lines.size(); ++i)
      said->add_lines(Clean(known.stderr_lines[i]));
  }
}

void AddTeardownEvidence(const RoundOutcome& outcome, Verdict& verdict) {
  for (const RankRecord& rank : outcome.ranks) {
    if (rank.life == RankRecord::Life::kUnkillable) {
      AddEvidence(verdict, Evidence::TEARDOWN, rank.process.rank)
          ->add_lines(Clean(rank.error.message()));
    }
  }
  const auto killed =
      std::count_if(outcome.ranks.begin(), outcome.ranks.end(), [](const RankRecord& rank) {
        return rank.exit.has_value() && rank.exit->signal == SIGKILL && !rank.ended_before_signal;
      });
  if (killed > 0) {
    AddEvidence(verdict, Evidence::TEARDOWN, std::nullopt)
        ->add_lines(std::to_string(killed) +
                    (killed == 1 ? " rank did not end by itself and was killed"
                                 : " ranks did not end by themselves and were killed"));
  }
}

Verdict::Class ClassOf(RoundEnd end) {
  switch (end) {
    case RoundEnd::kSucceeded: return Verdict::CLASS_UNSPECIFIED;
    case RoundEnd::kRankFailed: return Verdict::DEAD_RANK;
    case RoundEnd::kLaunchFailed: return Verdict::LAUNCH_FAILED;
    case RoundEnd::kNodeLost: return Verdict::NODE_LOST;
    case RoundEnd::kRankAccused: return Verdict::MISSING_RANK;
    case RoundEnd::kStoodStill: return Verdict::LIBRARY_STALL;
    case RoundEnd::kStoppedByUser: return Verdict::STOPPED_BY_USER;
  }
  return Verdict::UNKNOWN;
}

Verdict::Action ActionOf(Decision decision) {
  if (decision == Decision::kRestart) return Verdict::RESTART_GANG;
  return decision == Decision::kGoOn ? Verdict::KEEP_SURVIVORS : Verdict::END_JOB;
}

std::string HostOf(base::Rank rank, const RoundFacts& facts) {
  const auto index = static_cast<size_t>(rank.value());
  return index < facts.host_of_rank.size() ? facts.host_of_rank[index] : facts.host;
}

void SetTimes(const RoundFacts& facts, base::SteadyTime at, Verdict& verdict) {
  const int64_t wall_ns = (facts.wall_now - (facts.steady_now - at)).time_since_epoch().count();
  verdict.mutable_observed_at()->set_seconds(wall_ns / 1'000'000'000);
  verdict.mutable_observed_at()->set_nanos(static_cast<int32_t>(wall_ns % 1'000'000'000));
}

Verdict NewVerdict(Verdict::Class verdict_class, base::Round round, const RoundFacts& facts) {
  Verdict verdict;
  verdict.set_class_(verdict_class);
  verdict.set_job(facts.job_id);
  verdict.set_round(round.value());
  verdict.set_log_directory(CleanText(facts.log_directory));
  return verdict;
}

bool IsKillFromOutside(int signal) {
  switch (signal) {
    case SIGKILL:
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
    case SIGQUIT:
    case SIGUSR1:
    case SIGUSR2: return true;
    default: return false;
  }
}

/// Every number becomes '#': addresses, pids, ranks, steps and times differ between two runs into
/// the same wall.
std::string WithoutNumbers(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size();) {
    const auto is_digit = [&text](size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '9';
    };
    if (!is_digit(i)) {
      plain += text[i++];
      continue;
    }
    plain += '#';
    const bool hex = text[i] == '0' && i + 1 < text.size() && text[i + 1] == 'x';
    if (hex) i += 2;
    while (is_digit(i) ||
           (hex && i < text.size() && std::isxdigit(static_cast<unsigned char>(text[i]))))
      ++i;
  }
  return plain;
}

/// What was found while the gang stood still says more than how it was brought down.
void TakeHang(const Verdict& hang, Verdict& verdict) {
  Verdict rest;
  rest.Swap(&verdict);
  verdict = hang;
  std::set<int32_t> named;
  for (const proto::Culprit& culprit : verdict.culprits()) named.insert(culprit.rank());
  for (const Evidence& evidence : rest.evidence()) {
    if (evidence.kind() != Evidence::EXIT) *verdict.add_evidence() = evidence;
  }
  verdict.clear_victims();
  std::set<int32_t> victims(rest.victims().begin(), rest.victims().end());
  for (const proto::Culprit& first : rest.culprits()) victims.insert(first.rank());
  for (const int32_t victim : victims) {
    if (!named.contains(victim)) verdict.add_victims(victim);
  }
  rest.clear_class_();
  rest.clear_culprits();
  rest.clear_evidence();
  rest.clear_victims();
  verdict.MergeFrom(rest);
}

/// Of the ranks that failed, the one whose fault it was: the first, if the ranks' rings do not tell
/// that it failed for want of another one that has.
base::Rank FailedFirst(const RoundOutcome& outcome, const RoundFacts& facts) {
  if (outcome.end != RoundEnd::kRankFailed || !facts.last_look ||
      facts.last_look->class_() != Verdict::DEAD_RANK)
    return *outcome.culprit;
  const RankRecord* first = nullptr;
  for (const proto::Culprit& culprit : facts.last_look->culprits()) {
    const auto index = static_cast<size_t>(culprit.rank());
    if (index >= outcome.ranks.size()) continue;
    const RankRecord& rank = outcome.ranks[index];
    if (rank.process.rank == *outcome.culprit) return *outcome.culprit;
    if (!rank.failed() || rank.excluded) continue;
    if (first == nullptr || rank.ended_at < first->ended_at) first = &rank;
  }
  return first != nullptr ? first->process.rank : *outcome.culprit;
}

/// A rank that was told by an error that another one is missing, or calls something else, fails
/// first and is a victim. Of one that failed by itself it tells what it was doing.
void TakeLastLook(const Verdict& look, Verdict& verdict) {
  // Where it is a tie, both sides are named.
  const bool is_sure = look.confidence() == Verdict::HIGH || look.class_() == Verdict::MISMATCH;
  if (is_sure && look.culprits_size() > 0 && look.class_() != Verdict::DEAD_RANK)
    return TakeHang(look, verdict);
  const bool same =
      look.class_() == Verdict::DEAD_RANK &&
      std::any_of(look.culprits().begin(), look.culprits().end(), [&](const auto& culprit) {
        return culprit.rank() == verdict.culprits(0).rank();
      });
  if (!same) return;
  verdict.set_group(look.group());
  verdict.set_seq(look.seq());
  verdict.set_op(look.op());
  for (const Evidence& evidence : look.evidence()) *verdict.add_evidence() = evidence;
}

}  // namespace

std::optional<Verdict> MakeVerdict(const RoundOutcome& outcome, const RoundFacts& facts) {
  if (outcome.end == RoundEnd::kSucceeded) return std::nullopt;
  const bool stopped = outcome.end == RoundEnd::kStoppedByUser;
  const bool node_lost = outcome.end == RoundEnd::kNodeLost;
  Verdict verdict = NewVerdict(ClassOf(outcome.end), outcome.round, facts);
  const base::SteadyTime at = stopped ? outcome.ended_at : outcome.failed_at;
  SetTimes(facts, at, verdict);
  const int64_t age_ns = (at - outcome.started_at).count();
  verdict.mutable_round_age()->set_seconds(age_ns / 1'000'000'000);
  verdict.mutable_round_age()->set_nanos(static_cast<int32_t>(age_ns % 1'000'000'000));
  verdict.set_world_size(static_cast<int32_t>(outcome.ranks.size()));
  verdict.set_action(ActionOf(outcome.decision));
  verdict.set_action_reason(ReasonText(outcome, facts));
  if (stopped) {
    verdict.set_exit_code(128 + outcome.stop_signal);
  } else if (outcome.end == RoundEnd::kStoodStill) {
    verdict.set_exit_code(static_cast<int>(ExitCode::kUnavailable));
    AddEvidence(verdict, Evidence::EXIT, std::nullopt)->add_lines(Clean(outcome.stood_still));
    for (const RankRecord& rank : outcome.ranks)
      if (IsVictim(rank)) verdict.add_victims(rank.process.rank.value());
    if (facts.hang) TakeHang(*facts.hang, verdict);
  } else {
    LOCKSTEP_CHECK(outcome.culprit.has_value(), "a failed round has a culprit");
    const base::Rank first = FailedFirst(outcome, facts);
    const RankRecord& culprit = outcome.ranks[static_cast<size_t>(first.value())];
    verdict.set_exit_code(node_lost ? static_cast<int>(ExitCode::kAgentLost)
                                    : ExitStatusOf(culprit, facts));
    proto::Culprit* named = verdict.add_culprits();
    named->set_rank(first.value());
    named->set_host(HostOf(first, facts));
    named->set_pid(static_cast<int32_t>(culprit.pid));
    named->set_why(node_lost ? Clean(outcome.lost_node->why.message()) : WhyText(culprit));
    const auto known = facts.ranks.find(first);
    AddRankEvidence(culprit, known == facts.ranks.end() ? RankEvidence{} : known->second, verdict);
    for (const RankRecord& rank : outcome.ranks) {
      if (outcome.decision != Decision::kGoOn && &rank != &culprit && IsVictim(rank))
        verdict.add_victims(rank.process.rank.value());
    }
    if (facts.hang && culprit.accusation && !culprit.accusation->by) {
      TakeHang(*facts.hang, verdict);
    } else if (facts.last_look && outcome.end == RoundEnd::kRankFailed) {
      TakeLastLook(*facts.last_look, verdict);
    }
  }
  AddTeardownEvidence(outcome, verdict);
  return verdict;
}

std::optional<Verdict> MakeJobVerdict(const elastic::JobOutcome& outcome,
                                      const std::optional<Verdict>& last_round,
                                      const RoundFacts& facts) {
  if (outcome.decision == Decision::kSucceeded) return std::nullopt;
  if (outcome.decision == Decision::kNodeLost &&
      (!last_round.has_value() || last_round->class_() != Verdict::NODE_LOST)) {
    return MakeVerdictWithoutRanks(Verdict::NODE_LOST, outcome.last_round,
                                   static_cast<int>(ExitCode::kAgentLost),
                                   outcome.lost_node->why.message(), facts);
  }
  if (outcome.decision != Decision::kStoppedByUser) return last_round;
  if (last_round.has_value() && last_round->class_() == Verdict::STOPPED_BY_USER) return last_round;

  Verdict verdict = NewVerdict(Verdict::STOPPED_BY_USER, outcome.last_round, facts);
  SetTimes(facts, facts.steady_now, verdict);
  verdict.set_exit_code(128 + outcome.stop_signal);
  verdict.set_action(Verdict::END_JOB);
  verdict.set_action_reason(StopText(outcome.stop_signal, facts));
  if (last_round.has_value() && last_round->culprits_size() > 0) {
    verdict.set_world_size(last_round->world_size());
    const proto::Culprit& culprit = last_round->culprits(0);
    AddEvidence(verdict, Evidence::TEARDOWN, base::Rank(culprit.rank()))
        ->add_lines("round " + std::to_string(last_round->round()) + " had failed before: rank " +
                    std::to_string(culprit.rank()) + ": " + culprit.why());
  }
  return verdict;
}

Verdict MakeVerdictWithoutRanks(Verdict::Class verdict_class, base::Round round, int exit_code,
                                std::string_view why, const RoundFacts& facts) {
  Verdict verdict = NewVerdict(verdict_class, round, facts);
  SetTimes(facts, facts.steady_now, verdict);
  verdict.set_exit_code(exit_code);
  verdict.set_action(Verdict::END_JOB);
  verdict.set_action_reason(Clean(why));
  const auto kind = verdict_class == Verdict::LAUNCH_FAILED ? Evidence::LAUNCH : Evidence::EXIT;
  AddEvidence(verdict, kind, std::nullopt)->add_lines(Clean(why));
  return verdict;
}

int ExitStatus(const std::optional<Verdict>& job_verdict) {
  return job_verdict.has_value() ? job_verdict->exit_code() : static_cast<int>(ExitCode::kOk);
}

std::string HowItWent(const RankRecord& rank) { return WhyText(rank); }

std::string Fingerprint(const RankExit& exit, const RankEvidence& evidence) {
  if (exit.ok()) return "";
  if (exit.out_of_memory) return "out of memory";
  if (IsKillFromOutside(exit.signal)) return "";
  std::string said;
  if (evidence.error.has_value()) {
    said = evidence.error->message;
  } else if (!evidence.stderr_lines.empty()) {
    said = evidence.stderr_lines.back();
  }
  const std::string text = WithoutNumbers(Clean(said));
  return exit.signal != 0 ? SignalText(exit.signal) + " " + text : text;
}

std::string VerdictJson(const Verdict& verdict) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto printed = google::protobuf::util::MessageToJsonString(verdict, &json, options);
  LOCKSTEP_CHECK(printed.ok(), "a verdict holds clean text and valid times only");
  return json;
}

}  // namespace lockstep::launcher
