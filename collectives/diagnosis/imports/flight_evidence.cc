// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/flight_evidence.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectives/diagnosis/words.h"
#include "runtime/base/sip_hash.h"

namespace lockstep::collectives {
namespace {

using Members = std::vector<base::Rank>;

constexpr const char* kDefaultGroup = "default_pg";
/// Members of groups of everybody, of which there is one in a job.
constexpr size_t kEverybodyMax = size_t{1} << 20;

/// Of what nobody chooses to collide: members hash alike, that is all.
uint64_t Hash(std::string_view text) { return base::SipHash(base::SipKey{}, text); }

OpKind KindOf(std::string_view name) {
  struct Named {
    std::string_view name;
    OpKind kind;
  };
  static constexpr std::array<Named, 22> kNames = {{
      {"all_reduce", OpKind::kAllReduce},
      {"allreduce_coalesced", OpKind::kAllReduce},
      {"all_reduce_barrier", OpKind::kBarrier},
      {"barrier", OpKind::kBarrier},
      {"broadcast", OpKind::kBroadcast},
      {"_broadcast_oop", OpKind::kBroadcast},
      {"reduce", OpKind::kReduce},
      {"_reduce_oop", OpKind::kReduce},
      {"all_gather", OpKind::kAllGather},
      {"_all_gather_base", OpKind::kAllGather},
      {"all_gather_into_tensor_coalesced", OpKind::kAllGather},
      {"ALLGATHER_coalesced", OpKind::kAllGather},
      {"reduce_scatter", OpKind::kReduceScatter},
      {"_reduce_scatter_base", OpKind::kReduceScatter},
      {"reduce_scatter_tensor_coalesced", OpKind::kReduceScatter},
      {"REDUCE_SCATTER_coalesced", OpKind::kReduceScatter},
      {"gather", OpKind::kGather},
      {"scatter", OpKind::kScatter},
      {"all_to_all", OpKind::kAllToAll},
      {"coalesced", OpKind::kBatch},
      {"send", OpKind::kSend},
      {"recv", OpKind::kRecv},
  }};
  const auto found = std::find_if(kNames.begin(), kNames.end(),
                                  [&](const Named& named) { return named.name == name; });
  return found != kNames.end() ? found->kind : OpKind::kNone;
}

/// kBool where it is one that we do not have.
Dtype DtypeOf(std::string_view name) {
  struct Named {
    std::string_view name;
    Dtype dtype;
  };
  static constexpr std::array<Named, 14> kNames = {{
      {"Float", Dtype::kF32},
      {"Double", Dtype::kF64},
      {"Half", Dtype::kF16},
      {"BFloat16", Dtype::kBf16},
      {"Byte", Dtype::kU8},
      {"Char", Dtype::kI8},
      {"Short", Dtype::kI16},
      {"Int", Dtype::kI32},
      {"Long", Dtype::kI64},
      {"UInt32", Dtype::kU32},
      {"UInt64", Dtype::kU64},
      {"Bool", Dtype::kBool},
      {"Float8_e4m3fn", Dtype::kF8E4m3},
      {"Float8_e5m2", Dtype::kF8E5m2},
  }};
  const auto found = std::find_if(kNames.begin(), kNames.end(),
                                  [&](const Named& named) { return named.name == name; });
  return found != kNames.end() ? found->dtype : Dtype::kU8;
}

uint64_t Sum(const std::vector<int64_t>& elements) {
  uint64_t sum = 0;
  for (const int64_t count : elements) sum += static_cast<uint64_t>(count);
  return sum;
}

/// What an entry's name says: "nccl:send 0->1".
struct OpName {
  std::string_view backend, op;
  OpKind kind = OpKind::kNone;
  int peer = -1;
  /// Its end is an event on the device, and not that somebody let go of it.
  bool has_events = false;
};

OpName Parse(std::string_view name) {
  OpName parsed;
  if (const size_t colon = name.find(':'); colon != std::string_view::npos) {
    parsed.backend = name.substr(0, colon);
    name.remove_prefix(colon + 1);
  }
  const size_t blank = name.find(' ');
  parsed.op = name.substr(0, blank);
  parsed.kind = KindOf(parsed.op);
  parsed.has_events = parsed.backend == "nccl" || parsed.backend == "xccl";
  if (blank == std::string_view::npos) return parsed;
  // "0->1" of a send, "1<-0" of a receive: the peer stands behind the arrow.
  const std::string_view ends = name.substr(blank + 1);
  const size_t arrow = ends.find_first_of("<-");
  if (arrow == std::string_view::npos || arrow + 2 > ends.size()) return parsed;
  const std::string_view peer = ends.substr(arrow + 2);
  int place = -1;
  if (std::from_chars(peer.data(), peer.data() + peer.size(), place).ec == std::errc())
    parsed.peer = place;
  return parsed;
}

/// All members come to it before it can end well anywhere.
bool NeedsEverybody(OpKind kind) {
  return kind == OpKind::kAllReduce || kind == OpKind::kAllGather ||
         kind == OpKind::kReduceScatter || kind == OpKind::kAllToAll || kind == OpKind::kBarrier;
}

/// What must be equal on all members, as a text.
std::string CallOf(const FlightEntry& entry, const OpName& name) {
  uint64_t count = 0;
  const std::vector<std::string>* dtypes = &entry.input_dtypes;
  switch (name.kind) {
    case OpKind::kAllReduce:
    case OpKind::kBroadcast:
    case OpKind::kReduce:
    case OpKind::kReduceScatter:
    case OpKind::kGather: count = Sum(entry.input_elements); break;
    // What one member brings may differ, as in all_gather of a list; what comes out may not.
    case OpKind::kAllGather: count = Sum(entry.output_elements); break;
    case OpKind::kScatter:
      count = Sum(entry.output_elements);
      dtypes = &entry.output_dtypes;
      break;
    default: break;
  }
  std::string call = name.kind == OpKind::kNone ? std::string(name.op)
                                                : std::to_string(static_cast<int>(name.kind));
  call += " " + std::to_string(count);
  if (name.kind != OpKind::kBarrier && name.kind != OpKind::kNone) {
    for (const std::string& dtype : *dtypes) call += " " + dtype;
  }
  return call;
}

uint64_t CountOf(const FlightEntry& entry, OpKind kind) {
  const bool of_output = kind == OpKind::kReduceScatter || kind == OpKind::kScatter ||
                         kind == OpKind::kRecv || entry.input_elements.empty();
  return Sum(of_output ? entry.output_elements : entry.input_elements);
}

lockstep_record_state StateOf(const FlightEntry& entry, const OpName& name) {
  if (entry.state == FlightEntry::State::kCompleted) return LOCKSTEP_RECORD_COMPLETED;
  if (entry.is_retired)
    return name.has_events ? LOCKSTEP_RECORD_TIMED_OUT : LOCKSTEP_RECORD_COMPLETED;
  return entry.state == FlightEntry::State::kStarted ? LOCKSTEP_RECORD_STARTED
                                                     : LOCKSTEP_RECORD_ENQUEUED;
}

/// How many members a group has by what an op of it makes of its input; 0: it does not tell.
int SizeBy(const FlightEntry& entry, OpKind kind) {
  uint64_t part = Sum(entry.input_elements), whole = Sum(entry.output_elements);
  if (kind == OpKind::kReduceScatter) std::swap(part, whole);
  if (kind != OpKind::kAllGather && kind != OpKind::kReduceScatter) return 0;
  if (part == 0 || whole % part != 0 || whole / part > 65536) return 0;
  return static_cast<int>(whole / part);
}

class FlightSet {
 public:
  FlightSet(const std::map<base::Rank, FlightDump>& dumps,
            const std::optional<FlightQuestion>& question)
      : dumps_(dumps), question_(question) {}

  base::Result<ImportedEvidence> Run();

 private:
  struct Group {
    std::string description;
    std::set<Members> told;          // lists of members under this name
    std::set<base::Rank> seen;       // ranks that have entries in it
    std::map<Members, int> size_by;  // by list: what its ops tell
    bool is_default() const { return description == kDefaultGroup; }
  };
  /// Of a rank: by group, and by peer in transfers, which have a communicator of their own.
  using Streams = std::set<std::pair<std::string, int>>;
  struct Collective {
    size_t at;  // in the rank's ops
    std::string call;
  };

  void Gather();
  base::Status CheckRanks() const;
  Members MembersFor(const std::string& name, base::Rank rank) const;
  SeenGroup GroupFor(const std::string& name, base::Rank rank) const;
  SeenRank RankOf(base::Rank rank, const FlightDump& dump);
  void SetWait(base::Rank rank, const FlightEntry& entry, const OpName& name, Streams& waiting,
               SeenOp& op) const;
  void FindFailures();
  void Note();

  const std::map<base::Rank, FlightDump>& dumps_;
  const std::optional<FlightQuestion>& question_;
  std::map<std::string, Group> groups_;
  int world_size_ = 0;
  int64_t now_ns_ = 0;
  std::set<std::string> has_no_events_;  // groups whose ops end without saying how
  std::vector<base::Rank> without_transfers_;
  ImportedEvidence result_;
};

void FlightSet::Gather() {
  for (const auto& [rank, dump] : dumps_) {
    world_size_ = std::max(world_size_, rank.value() + 1);
    for (const FlightGroup& told : dump.groups) {
      for (const base::Rank member : told.members)
        world_size_ = std::max(world_size_, member.value() + 1);
      // torch 2.11 with Gloo writes the members of all its groups under no name.
      if (told.name.empty()) continue;
      Group& group = groups_[told.name];
      if (group.description.empty()) group.description = told.description;
      if (!told.members.empty()) group.told.insert(told.members);
    }
    for (const FlightEntry& entry : dump.entries) {
      Group& group = groups_[entry.group];
      group.seen.insert(rank);
      if (group.description.empty() || group.description == "undefined")
        group.description = entry.description;
      now_ns_ = std::max(now_ns_, entry.last_seen_ns);
    }
  }
  if (question_.has_value()) now_ns_ = question_->asked_ns;
  for (const auto& [rank, dump] : dumps_) {
    for (const FlightEntry& entry : dump.entries) {
      const OpName name = Parse(entry.name);
      Group& group = groups_.at(entry.group);
      if (!name.has_events) has_no_events_.insert(entry.group);
      if (!group.told.empty()) continue;
      int& size = group.size_by[{}];
      size = std::max(size, SizeBy(entry, name.kind));
      if (group.is_default()) world_size_ = std::max(world_size_, size);
    }
  }
}

base::Status FlightSet::CheckRanks() const {
  for (const auto& [rank, dump] : dumps_) {
    for (const FlightGroup& told : dump.groups) {
      if (told.description != kDefaultGroup || told.members.empty()) continue;
      if (std::find(told.members.begin(), told.members.end(), rank) != told.members.end()) continue;
      return base::InvalidArgumentError(
          "the dump that is said to be of rank " + rank.ToString() + " is of a job with " +
          RankList(told.members) + "; end the names of dump files with the rank, as torch does");
    }
  }
  return base::OkStatus();
}

/// Empty: nobody says.
Members FlightSet::MembersFor(const std::string& name, base::Rank rank) const {
  const Group& group = groups_.at(name);
  for (const Members& members : group.told) {
    // Groups that were split off may share a name; a rank is in one of them.
    if (group.told.size() == 1 || std::find(members.begin(), members.end(), rank) != members.end())
      return members;
  }
  Members everybody;
  if (!group.is_default()) return everybody;
  for (int32_t member = 0; member < world_size_; ++member) everybody.emplace_back(member);
  return everybody;
}

SeenGroup FlightSet::GroupFor(const std::string& name, base::Rank rank) const {
  const Group& group = groups_.at(name);
  SeenGroup seen{.id = base::GroupId(0),
                 .epoch = base::Round(0),
                 .name = group.description,
                 .rank = base::GroupRank(-1),
                 .size = 0,
                 .members = MembersFor(name, rank)};
  std::string identity = name;
  for (const base::Rank member : seen.members) identity += "," + member.ToString();
  seen.id = base::GroupId(Hash(identity));
  if (group.description.empty() || group.description == "undefined") {
    seen.name = name;
  } else if (!group.is_default()) {
    seen.name += " (" + name + ")";
  }
  const auto place = std::find(seen.members.begin(), seen.members.end(), rank);
  if (place != seen.members.end())
    seen.rank = base::GroupRank(static_cast<int32_t>(place - seen.members.begin()));
  seen.size = static_cast<int>(seen.members.size());
  if (seen.members.empty()) {
    const auto size = group.size_by.find({});
    seen.size = std::max(
        {2, static_cast<int>(group.seen.size()), size != group.size_by.end() ? size->second : 0});
  }
  return seen;
}

SeenRank FlightSet::RankOf(base::Rank rank, const FlightDump& dump) {
  SeenRank seen{.rank = rank, .process = {}, .ring_read = true};
  seen.ring_overflowed = !dump.entries.empty() && dump.entries.front().record_id > 0;
  std::map<std::string, SeenGroup> groups;
  for (const FlightGroup& group : dump.groups) {
    if (!group.name.empty()) groups.emplace(group.name, GroupFor(group.name, rank));
  }
  std::map<std::pair<std::string, int64_t>, Collective> collectives;
  std::map<std::tuple<std::string, OpKind, int>, uint64_t> transfers;
  Streams waiting;
  for (const FlightEntry& entry : dump.entries) {
    const OpName name = Parse(entry.name);
    // Of a call that several entries tell of some may be gone.
    const FlightEntry& oldest = dump.entries.front();
    if (seen.ring_overflowed && entry.group == oldest.group &&
        entry.collective_seq == oldest.collective_seq && entry.is_transfer == oldest.is_transfer)
      continue;
    auto group = groups.find(entry.group);
    if (group == groups.end())
      group = groups.emplace(entry.group, GroupFor(entry.group, rank)).first;
    SeenOp op{.group = group->second.id,
              .epoch = base::Round(0),
              .seq = base::OpSeq(static_cast<uint64_t>(entry.collective_seq)),
              .kind = name.kind,
              .name = name.kind == OpKind::kNone ? std::string(name.op) : "",
              .root_or_peer = name.peer,
              .count = CountOf(entry, name.kind),
              .state = StateOf(entry, name),
              .waits_for = std::nullopt,
              .age = base::Duration(now_ns_ - entry.created_ns),
              .call_site = entry.call_site};
    const std::vector<std::string>& dtypes =
        entry.input_dtypes.empty() ? entry.output_dtypes : entry.input_dtypes;
    if (!dtypes.empty()) op.dtype = DtypeOf(dtypes.front());
    SetWait(rank, entry, name, waiting, op);
    if (op.is_transfer()) {
      // Numbered by us, which takes all of them: from the first on.
      if (seen.ring_overflowed || name.peer < 0) {
        if (without_transfers_.empty() || without_transfers_.back() != rank)
          without_transfers_.push_back(rank);
        continue;
      }
      op.seq = base::OpSeq(++transfers[{entry.group, name.kind, name.peer}]);
      op.fingerprint = Hash(std::to_string(op.count));
      seen.ops.push_back(std::move(op));
      continue;
    }
    // The end of a batch of sends and receives: they stand there themselves.
    if (name.kind == OpKind::kBatch && entry.is_transfer) continue;
    const auto [known, is_new] =
        collectives.try_emplace({entry.group, entry.collective_seq},
                                Collective{.at = seen.ops.size(), .call = CallOf(entry, name)});
    if (is_new) {
      op.fingerprint = Hash(known->second.call);
      seen.ops.push_back(std::move(op));
      continue;
    }
    // One call that several entries tell of, the last of them how it ended.
    SeenOp& whole = seen.ops[known->second.at];
    known->second.call += "; " + CallOf(entry, name);
    whole.fingerprint = Hash(known->second.call);
    if (name.kind != OpKind::kBatch) whole.count += op.count;
    whole.state = op.state;
    whole.caller_waits = op.caller_waits;
    whole.stream_waits |= op.stream_waits;
  }
  for (auto& [_, group] : groups) {
    if (group.rank.value() >= 0 || group.members.empty()) seen.groups.push_back(std::move(group));
  }
  return seen;
}

/// Of ranks that were asked it is known since when they wait. Where ops end by events their caller
/// has gone on, for all that is known, and a stream waits: in the first of its ops that is open.
void FlightSet::SetWait(base::Rank rank, const FlightEntry& entry, const OpName& name,
                        Streams& waiting, SeenOp& op) const {
  op.caller_waits = op.is_open();
  if (!question_.has_value()) return;
  op.age = std::max(op.age, base::Duration(0));
  if (!op.is_open()) return;
  if (name.has_events) {
    op.caller_waits = false;
    op.stream_waits = waiting.insert({entry.group, op.is_transfer() ? name.peer : -1}).second;
  }
  if (!question_->open_before.has_value()) return;
  const auto before = question_->open_before->find(rank);
  if (before != question_->open_before->end() && before->second.contains(entry.record_id)) return;
  op.caller_waits = op.stream_waits = false;
}

/// Backends without events let go of an op that failed as of one that ended well. What is over
/// although somebody never came to it has failed, and it is the last of its group.
void FlightSet::FindFailures() {
  std::map<base::GroupId, base::OpSeq> last;
  for (const SeenRank& rank : result_.evidence.ranks) {
    for (const SeenOp& op : rank.ops) {
      if (!op.is_transfer()) last[op.group] = std::max(last[op.group], op.seq);
    }
  }
  for (const std::string& name : has_no_events_) {
    std::set<base::GroupId> ids;
    for (const auto& [rank, _] : dumps_) ids.insert(GroupFor(name, rank).id);
    for (const base::GroupId id : ids) {
      std::vector<SeenOp*> callers;
      std::vector<base::Rank> absent;
      for (SeenRank& rank : result_.evidence.ranks) {
        const auto group = std::find_if(rank.groups.begin(), rank.groups.end(),
                                        [&](const SeenGroup& seen) { return seen.id == id; });
        if (!rank.ring_read || group == rank.groups.end()) continue;
        const auto op = std::find_if(rank.ops.begin(), rank.ops.end(), [&](const SeenOp& seen) {
          return seen.group == id && !seen.is_transfer() && seen.seq == last[id];
        });
        if (op == rank.ops.end()) {
          absent.push_back(rank.rank);
        } else {
          callers.push_back(&*op);
        }
      }
      if (absent.empty()) continue;
      bool has_failed = false;
      for (SeenOp* const op : callers) {
        if (op->state != LOCKSTEP_RECORD_COMPLETED || !NeedsEverybody(op->kind)) continue;
        op->state = LOCKSTEP_RECORD_TIMED_OUT;
        has_failed = true;
      }
      if (!has_failed) continue;
      result_.confidence_max = Finding::Confidence::kMedium;
      result_.notes.push_back("op " + last[id].ToString() + " of group " +
                              GroupName(id, base::Round(0), result_.evidence) + " is over though " +
                              RankList(absent) +
                              " never came: it is taken for failed, unless the dumps were "
                              "taken at different times");
    }
  }
}

void FlightSet::Note() {
  std::vector<base::Rank> absent, empty, overflowed;
  for (const SeenRank& rank : result_.evidence.ranks) {
    const auto dump = dumps_.find(rank.rank);
    if (dump == dumps_.end()) {
      absent.push_back(rank.rank);
    } else if (dump->second.entries.empty()) {
      empty.push_back(rank.rank);
    } else if (rank.ring_overflowed) {
      overflowed.push_back(rank.rank);
    }
  }
  if (!absent.empty()) {
    result_.notes.push_back("of " + RankList(absent) + " there is no dump, of " +
                            std::to_string(result_.evidence.ranks.size()) + " ranks");
  }
  if (!empty.empty()) {
    result_.notes.push_back("no entries in the dump of " + RankList(empty) +
                            ": no op was called, or its recorder is off "
                            "(TORCH_FR_BUFFER_SIZE=0)");
  }
  if (!overflowed.empty()) {
    result_.notes.push_back("the recorder of " + RankList(overflowed) +
                            " has lost its first entries; a larger TORCH_FR_BUFFER_SIZE keeps "
                            "them");
  }
  if (!without_transfers_.empty()) {
    result_.notes.push_back("sends and receives of " + RankList(without_transfers_) +
                            " are left out: their numbers are not known");
  }
  if (!question_.has_value()) {
    result_.notes.push_back(
        "waits are told up to the latest time in the dumps: they may have lasted longer");
  }
  for (const auto& [name, group] : groups_) {
    if (!group.told.empty() || group.is_default() || group.seen.empty()) continue;
    result_.notes.push_back("who is in group " + name + " stands in no dump");
    // Whoever is not seen in it may have left it out, or not be in it.
    for (SeenRank& rank : result_.evidence.ranks) rank.ring_overflowed = true;
  }
}

base::Result<ImportedEvidence> FlightSet::Run() {
  const auto has_entries = [](const auto& dump) { return !dump.second.entries.empty(); };
  if (std::none_of(dumps_.begin(), dumps_.end(), has_entries)) {
    return base::FailedPreconditionError(
        "flight recorder: no entry in any dump; start the ranks with TORCH_FR_BUFFER_SIZE=2000");
  }
  RETURN_IF_ERROR(CheckRanks());
  Gather();
  size_t everybody = 0;
  for (const auto& [_, group] : groups_) {
    if (group.is_default() && group.told.empty()) everybody += static_cast<size_t>(world_size_);
  }
  if (everybody > kEverybodyMax)
    return base::OutOfRangeError("flight recorder: too many groups called default_pg");
  for (int32_t rank = 0; rank < world_size_; ++rank) {
    const auto dump = dumps_.find(base::Rank(rank));
    result_.evidence.ranks.push_back(dump != dumps_.end() ? RankOf(base::Rank(rank), dump->second)
                                                          : SeenRank{.rank = base::Rank(rank)});
  }
  FindFailures();
  Note();
  return std::move(result_);
}

}  // namespace

OpenEntries OpenEntriesOf(const std::map<base::Rank, FlightDump>& dumps) {
  OpenEntries open;
  for (const auto& [rank, dump] : dumps) {
    for (const FlightEntry& entry : dump.entries) {
      if (entry.state != FlightEntry::State::kCompleted && !entry.is_retired)
        open[rank].insert(entry.record_id);
    }
  }
  return open;
}

base::Result<ImportedEvidence> FromFlightDumps(const std::map<base::Rank, FlightDump>& dumps,
                                               const std::optional<FlightQuestion>& question) {
  return FlightSet(dumps, question).Run();
}

}  // namespace lockstep::collectives
