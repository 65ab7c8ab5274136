// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/ras_evidence.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "collectives/diagnosis/words.h"
#include "runtime/base/sip_hash.h"

namespace lockstep::collectives {
namespace {

using Launched = std::map<std::string, uint64_t>;
using Process = std::tuple<std::string, int64_t, int>;  // host, pid, GPU

/// Who waits, and for whom, as a diagnosis writes it down: all of a communicator of 4096 ranks.
constexpr size_t kPairsMax = size_t{1} << 24;

uint64_t Hash(std::string_view text) { return base::SipHash(base::SipKey{}, text); }

uint64_t Total(const Launched& launched) {
  uint64_t total = 0;
  for (const auto& [_, count] : launched) total += count;
  return total;
}

uint64_t CountIn(const Launched& launched, const std::string& kind) {
  const auto found = launched.find(kind);
  return found != launched.end() ? found->second : 0;
}

/// The kind of which `more` has launched most beyond `less`; "collective" where it has of none.
std::string Excess(const Launched& more, const Launched& less) {
  std::string kind = "collective";
  uint64_t most = 0;
  for (const auto& [name, count] : more) {
    const uint64_t other = CountIn(less, name);
    if (count <= other || count - other <= most) continue;
    most = count - other;
    kind = name;
  }
  return kind;
}

class RasSet {
 public:
  RasSet(RasReport report, std::vector<RasReport> earlier)
      : report_(std::move(report)), earlier_(std::move(earlier)) {
    for (const RasReport& before : earlier_) {
      for (const RasCommunicator& communicator : before.communicators)
        before_.emplace(communicator.hash, &communicator);
    }
  }

  base::Result<ImportedEvidence> Run();

 private:
  static Process ProcessOf(const RasRank& rank) { return {rank.host, rank.pid, rank.gpu}; }
  void NumberRanks(const RasCommunicator& world);
  void Add(const RasCommunicator& communicator, bool is_world);
  void AddOps(const RasCommunicator& communicator, const SeenGroup& group,
              const std::vector<std::pair<SeenRank*, const Launched*>>& counted);
  bool Moves(const RasCommunicator& communicator) const;
  void LoseNodes();
  SeenRank& At(base::Rank rank) {
    return result_.evidence.ranks[static_cast<size_t>(rank.value())];
  }

  const RasReport report_;
  const std::vector<RasReport> earlier_;
  std::map<std::string, const RasCommunicator*> before_;  // the earliest of each hash
  std::map<Process, base::Rank> ranks_;
  std::set<base::Rank> dead_;
  size_t pairs_ = kPairsMax;  // that are left
  ImportedEvidence result_;
};

void RasSet::NumberRanks(const RasCommunicator& world) {
  int size = std::max(world.size, world.ranks.empty() ? 0 : world.ranks.back().rank + 1);
  for (const RasRank& rank : world.ranks) {
    if (rank.pid > 0) ranks_.emplace(ProcessOf(rank), base::Rank(rank.rank));
  }
  const int in_world = size;
  for (const RasCommunicator& communicator : report_.communicators) {
    for (const RasRank& rank : communicator.ranks) {
      if (rank.pid > 0 && ranks_.emplace(ProcessOf(rank), base::Rank(size)).second) ++size;
    }
  }
  if (size > in_world) {
    result_.notes.push_back("no communicator has all processes: ranks from " +
                            std::to_string(in_world) +
                            " on are numbered in the order of the "
                            "report");
  }
  for (int rank = 0; rank < size; ++rank)
    result_.evidence.ranks.push_back({.rank = base::Rank(rank)});
}

/// Whether it has launched anything since an earlier report.
bool RasSet::Moves(const RasCommunicator& communicator) const {
  const auto before = before_.find(communicator.hash);
  if (before == before_.end()) return false;
  const std::vector<RasRank>& ranks = before->second->ranks;
  for (const RasRank& rank : communicator.ranks) {
    const auto same =
        std::lower_bound(ranks.begin(), ranks.end(), rank.rank,
                         [](const RasRank& old, int place) { return old.rank < place; });
    if (same != ranks.end() && same->rank == rank.rank &&
        Total(rank.launched) > Total(same->launched)) {
      return true;
    }
  }
  return false;
}

void RasSet::Add(const RasCommunicator& communicator, bool is_world) {
  SeenGroup group{.id = base::GroupId(Hash(communicator.hash)),
                  .epoch = base::Round(0),
                  .name = communicator.hash,
                  .rank = base::GroupRank(-1),
                  .size = communicator.size,
                  .members = {}};
  std::vector<std::optional<base::Rank>> numbers(static_cast<size_t>(communicator.size));
  for (int place = 0; is_world && place < communicator.size; ++place)
    numbers[static_cast<size_t>(place)] = base::Rank(place);
  for (const RasRank& rank : communicator.ranks) {
    const auto number = ranks_.find(ProcessOf(rank));
    if (!is_world && rank.rank < communicator.size && number != ranks_.end())
      numbers[static_cast<size_t>(rank.rank)] = number->second;
  }
  if (std::find(numbers.begin(), numbers.end(), std::nullopt) != numbers.end()) {
    result_.notes.push_back("communicator " + communicator.hash +
                            " is left out: the report does not say which processes are in it");
    return;
  }
  std::vector<base::Rank> members;
  for (const std::optional<base::Rank>& number : numbers) members.push_back(*number);
  group.members = members;
  std::vector<std::pair<SeenRank*, const Launched*>> counted;
  for (const RasRank& rank : communicator.ranks) {
    if (rank.rank >= communicator.size) continue;
    SeenRank& seen = At(members[static_cast<size_t>(rank.rank)]);
    if (!rank.host.empty()) seen.process.host = rank.host;
    if (rank.pid > 0) seen.process.pid = rank.pid;
    group.rank = base::GroupRank(rank.rank);
    seen.groups.push_back(group);
    group.members.clear();  // one member that says who all are is enough
    if (rank.is_missing) {
      seen.process.detail =
          rank.is_dead ? "is considered dead by NCCL's RAS" : "does not answer NCCL's RAS";
      if (rank.is_dead) dead_.insert(seen.rank);
      continue;
    }
    if (rank.async_error != 0) {
      result_.notes.push_back("rank " + seen.rank.ToString() + " of communicator " +
                              communicator.hash + " has NCCL error " +
                              std::to_string(rank.async_error));
    }
    seen.ring_read = true;
    if (!rank.launched.empty()) counted.emplace_back(&seen, &rank.launched);
  }
  if (Moves(communicator)) {
    result_.notes.push_back("communicator " + communicator.hash +
                            " moves: its counts have grown since the report before");
    return;
  }
  AddOps(communicator, group, counted);
}

void RasSet::AddOps(const RasCommunicator& communicator, const SeenGroup& group,
                    const std::vector<std::pair<SeenRank*, const Launched*>>& counted) {
  if (counted.empty()) return;
  const auto by_total = [](const auto& a, const auto& b) {
    return Total(*a.second) < Total(*b.second);
  };
  const auto [least, most] = std::minmax_element(counted.begin(), counted.end(), by_total);
  const bool is_even = Total(*least->second) == Total(*most->second);
  if (is_even && Total(*most->second) == 0) return;
  // Where all have launched as many but not the same, by what most have launched.
  std::map<Launched, int> alike;
  for (const auto& [_, launched] : counted) ++alike[*launched];
  const auto usual = std::max_element(alike.begin(), alike.end(), [](const auto& a, const auto& b) {
                       return a.second < b.second;
                     })->first;
  const auto unusual = std::find_if(alike.begin(), alike.end(),
                                    [&](const auto& other) { return other.first != usual; });
  size_t untold = 0;
  const bool is_complete = static_cast<int>(counted.size()) == communicator.size;
  for (const auto& [seen, launched] : counted) {
    const uint64_t total = Total(*launched);
    SeenOp op{.group = group.id,
              .epoch = base::Round(0),
              .seq = base::OpSeq(total),
              .name = "",
              .fingerprint = Hash(std::to_string(total)),
              .state = LOCKSTEP_RECORD_ENQUEUED,
              .waits_for = std::nullopt,
              .call_site = ""};
    if (!is_even) {
      op.name = Excess(*most->second, *least->second);
    } else if (unusual == alike.end()) {
      op.name = "collective";
    } else {
      op.name = *launched == usual ? Excess(usual, unusual->first) : Excess(*launched, usual);
      std::string call;
      for (const auto& [kind, count] : *launched) call += kind + "=" + std::to_string(count) + " ";
      op.fingerprint = Hash(call);
    }
    // Whoever has launched least waits for nobody whom we know to be behind.
    bool waits = is_even ? !is_complete : total > Total(*least->second);
    if (waits && pairs_ < static_cast<size_t>(communicator.size)) {
      waits = false;
      ++untold;
    }
    if (waits) pairs_ -= static_cast<size_t>(communicator.size);
    if (!waits) op.state = LOCKSTEP_RECORD_COMPLETED;
    op.caller_waits = waits;
    if (total > 0) seen->ops.push_back(std::move(op));
  }
  if (untold > 0) {
    result_.notes.push_back("of communicator " + communicator.hash + " " + std::to_string(untold) +
                            " ranks that wait are not told of");
  }
}

/// Of a host none of whose processes answers, and one of them is given up.
void RasSet::LoseNodes() {
  std::set<std::string> alive;
  for (const SeenRank& rank : result_.evidence.ranks) {
    if (rank.ring_read) alive.insert(rank.process.host);
  }
  for (const base::Rank rank : dead_)
    At(rank).node_answers = At(rank).process.host.empty() || alive.contains(At(rank).process.host);
}

base::Result<ImportedEvidence> RasSet::Run() {
  const auto world = std::max_element(
      report_.communicators.begin(), report_.communicators.end(),
      [](const RasCommunicator& a, const RasCommunicator& b) { return a.size < b.size; });
  if (world == report_.communicators.end()) {
    return base::FailedPreconditionError(
        report_.is_text ? "NCCL RAS: the text says that all communicators are well, and no counts; "
                          "ask for JSON (ncclras -f json, NCCL 2.28.7), which has them"
                        : "NCCL RAS: there is no communicator in the report");
  }
  NumberRanks(*world);
  for (const RasCommunicator& communicator : report_.communicators)
    Add(communicator, &communicator == &*world);
  LoseNodes();
  std::vector<base::Rank> silent;
  for (const SeenRank& rank : result_.evidence.ranks) {
    if (!rank.process.detail.empty()) {
      result_.notes.push_back("rank " + rank.rank.ToString() + ", process " +
                              std::to_string(rank.process.pid) + " on " + rank.process.host + ", " +
                              rank.process.detail);
    } else if (!rank.ring_read) {
      silent.push_back(rank.rank);
    }
  }
  if (!silent.empty()) result_.notes.push_back("the report says nothing of " + RankList(silent));
  if (earlier_.empty()) {
    result_.confidence_max = Finding::Confidence::kMedium;
    result_.notes.push_back(
        "one report does not tell whether counts still grow: give two, taken seconds apart");
  }
  return std::move(result_);
}

}  // namespace

base::Result<ImportedEvidence> FromRasReports(std::vector<RasReport> reports) {
  if (reports.empty()) return base::FailedPreconditionError("NCCL RAS: no report");
  // Texts have no time, and stay in the order in which they were given.
  std::stable_sort(reports.begin(), reports.end(), [](const RasReport& a, const RasReport& b) {
    return !a.timestamp.empty() && !b.timestamp.empty() && a.timestamp < b.timestamp;
  });
  RasReport last = std::move(reports.back());
  reports.pop_back();
  return RasSet(std::move(last), std::move(reports)).Run();
}

}  // namespace lockstep::collectives
