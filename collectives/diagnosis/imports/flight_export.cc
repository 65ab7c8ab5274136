// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/flight_export.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "collectives/types.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

constexpr const char* kVersion = "2.10";
constexpr const char* kWorld = "world";
/// Members that rings may name in all: they are in others' reach.
constexpr size_t kMembersMax = size_t{1} << 20;

using GroupKey = std::pair<uint64_t, uint32_t>;  // id, epoch

/// As NCCL's process group calls it in torch; "" of what the analyzer does not know.
const char* NameOf(OpKind kind) {
  switch (kind) {
    case OpKind::kAllReduce: return "all_reduce";
    case OpKind::kReduce: return "reduce";
    case OpKind::kBroadcast: return "broadcast";
    case OpKind::kAllGather: return "_all_gather_base";
    case OpKind::kAllGatherV: return "all_gather";
    case OpKind::kReduceScatter: return "_reduce_scatter_base";
    case OpKind::kReduceScatterV: return "reduce_scatter";
    case OpKind::kAllToAll:
    case OpKind::kAllToAllV: return "all_to_all";
    case OpKind::kGather: return "gather";
    case OpKind::kScatter: return "scatter";
    case OpKind::kBarrier: return "all_reduce_barrier";
    case OpKind::kSend: return "send";
    case OpKind::kRecv: return "recv";
    default: return "";
  }
}

/// As torch prints a ScalarType.
const char* TorchName(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool: return "Bool";
    case Dtype::kU8: return "Byte";
    case Dtype::kI8: return "Char";
    case Dtype::kI16: return "Short";
    case Dtype::kI32: return "Int";
    case Dtype::kI64: return "Long";
    case Dtype::kU32: return "UInt32";
    case Dtype::kU64: return "UInt64";
    case Dtype::kF16: return "Half";
    case Dtype::kBf16: return "BFloat16";
    case Dtype::kF32: return "Float";
    case Dtype::kF64: return "Double";
    case Dtype::kF8E4m3: return "Float8_e4m3fn";
    case Dtype::kF8E5m2: return "Float8_e5m2";
  }
  return "Byte";
}

const char* StateOf(uint8_t state) {
  if (state == LOCKSTEP_RECORD_COMPLETED) return "completed";
  return state == LOCKSTEP_RECORD_ENQUEUED ? "scheduled" : "started";
}

// What we build ourselves breaks no limit of a tree: a ring has a million slots at most.
void Set(Tree& map, const char* key, TreePtr value) {
  LOCKSTEP_CHECK(map.Set(key, std::move(value)).ok(), "a map of ours");
}
void Append(Tree& list, TreePtr item) {
  LOCKSTEP_CHECK(list.Append(std::move(item)).ok(), "a list of ours");
}

/// One tensor of so many elements, or none.
TreePtr Sizes(bool is_there, uint64_t elements) {
  TreePtr sizes = Tree::List();
  if (is_there) Append(*sizes, Tree::Integers({static_cast<int64_t>(elements)}));
  return sizes;
}

struct Group {
  std::string name, description;
  std::map<int, base::Rank> members;  // by group rank
};

class Exporter {
 public:
  explicit Exporter(const std::vector<RingContent>& rings) : rings_(rings) { FindGroups(); }
  std::map<base::Rank, TreePtr> Run() const;

 private:
  void FindGroups();
  TreePtr DumpOf(const RingContent& ring) const;
  TreePtr EntryOf(const lockstep_record& record, const Group& group, const RingContent& ring) const;
  /// Of the seat that it had, or of its place among those who name the group.
  static int PlaceIn(const Group& group, int32_t rank);

  const std::vector<RingContent>& rings_;
  std::map<GroupKey, Group> groups_;
};

void Exporter::FindGroups() {
  size_t named = 0;
  const auto add = [&](Group& group, int place, int64_t rank) {
    if (rank < 0 || rank > INT32_MAX || ++named > kMembersMax) return;
    group.members.try_emplace(place, base::Rank(static_cast<int32_t>(rank)));
  };
  for (const RingContent& ring : rings_) {
    for (const lockstep_seat& seat : ring.seats) {
      Group& group = groups_[{seat.group_id, seat.epoch}];
      group.description = seat.name;
      add(group, seat.group_rank, ring.head.rank);
      if (seat.stride == 0) continue;
      for (int place = 0; place < seat.group_size && named < kMembersMax; ++place)
        add(group, place, int64_t{seat.first} + int64_t{seat.stride} * place);
    }
  }
  // Groups that have ended have no seat any more.
  std::map<GroupKey, std::set<int32_t>> callers;
  for (const RingContent& ring : rings_) {
    for (const lockstep_record& record : ring.records)
      callers[{record.group_id, record.epoch}].insert(ring.head.rank);
  }
  for (const auto& [key, ranks] : callers) {
    Group& group = groups_[key];
    if (!group.members.empty()) continue;
    int place = 0;
    for (const int32_t rank : ranks) add(group, place++, rank);
  }
  for (auto& [key, group] : groups_) {
    group.name =
        std::to_string(key.first) + (key.second > 0 ? "." + std::to_string(key.second) : "");
    if (group.description == kWorld) group.description = "default_pg";
    if (group.description.empty()) group.description = "undefined";
  }
}

int Exporter::PlaceIn(const Group& group, int32_t rank) {
  const auto found =
      std::find_if(group.members.begin(), group.members.end(),
                   [&](const auto& member) { return member.second.value() == rank; });
  return found != group.members.end() ? found->first : -1;
}

TreePtr Exporter::EntryOf(const lockstep_record& record, const Group& group,
                          const RingContent& ring) const {
  const auto kind = static_cast<OpKind>(record.op);
  const bool is_send = kind == OpKind::kSend, is_recv = kind == OpKind::kRecv;
  const int64_t to_wall = static_cast<int64_t>(ring.head.attached_wall_ns) -
                          static_cast<int64_t>(ring.head.attached_monotonic_ns);
  const auto time = [&](uint64_t ns) {
    return ns == 0 ? Tree::Null() : Tree::Integer(static_cast<int64_t>(ns) + to_wall);
  };
  std::string name = std::string("nccl:") + NameOf(kind);
  const std::string self = std::to_string(PlaceIn(group, ring.head.rank));
  if (is_send) name += " " + self + "->" + std::to_string(record.root_or_peer);
  if (is_recv) name += " " + self + "<-" + std::to_string(record.root_or_peer);
  // What only a root has is there on all, but where the analyzer expects it of the root alone.
  const bool is_barrier = kind == OpKind::kBarrier;
  const uint64_t most = is_barrier ? 1 : std::max(record.count_in, record.count_out);
  const bool is_alike = kind == OpKind::kAllReduce || kind == OpKind::kBroadcast ||
                        kind == OpKind::kReduce || is_send || is_recv || is_barrier;
  const bool has_in = is_alike || record.count_in > 0, has_out = is_alike || record.count_out > 0;
  const std::vector<std::string> dtype = {is_barrier || record.dtype == 0 ||
                                                  record.dtype >= kDtypeLimit
                                              ? "Byte"
                                              : TorchName(static_cast<Dtype>(record.dtype))};

  const TreePtr entry = Tree::Map();
  const TreePtr frames = Tree::List();
  const std::string_view site = record.call_site;
  if (const size_t colon = site.rfind(':'); colon != std::string_view::npos) {
    int64_t line = 0;
    std::from_chars(site.data() + colon + 1, site.data() + site.size(), line);
    const TreePtr frame = Tree::Map();
    Set(*frame, "name", Tree::Text(""));
    Set(*frame, "filename", Tree::Text(std::string(site.substr(0, colon))));
    Set(*frame, "line", Tree::Integer(line));
    Append(*frames, frame);
  }
  Set(*entry, "frames", frames);
  Set(*entry, "pg_id", Tree::Integer(0));
  Set(*entry, "process_group", Tree::Texts({group.name, group.description}));
  Set(*entry, "thread_id", Tree::Text(std::to_string(record.thread_id)));
  Set(*entry, "thread_name", Tree::Text(""));
  Set(*entry, "profiling_name", Tree::Text(name));
  Set(*entry, "time_created_ns", time(record.enqueued_ns));
  Set(*entry, "input_sizes", Sizes(has_in, is_alike ? most : record.count_in));
  Set(*entry, "input_dtypes", has_in ? Tree::Texts(dtype) : Tree::List());
  Set(*entry, "output_sizes", Sizes(has_out, is_alike ? most : record.count_out));
  Set(*entry, "output_dtypes", has_out ? Tree::Texts(dtype) : Tree::List());
  Set(*entry, "state", Tree::Text(StateOf(record.state)));
  Set(*entry, "time_discovered_started_ns", time(record.started_ns));
  Set(*entry, "time_discovered_completed_ns",
      record.state == LOCKSTEP_RECORD_COMPLETED ? time(record.ended_ns) : Tree::Null());
  Set(*entry, "retired", Tree::Bool(record.state >= LOCKSTEP_RECORD_COMPLETED));
  Set(*entry, "timeout_ms", Tree::Integer(static_cast<int64_t>(record.timeout_ns / 1000000)));
  Set(*entry, "is_p2p", Tree::Bool(is_send || is_recv));
  return entry;
}

TreePtr Exporter::DumpOf(const RingContent& ring) const {
  const TreePtr entries = Tree::List();
  std::map<GroupKey, std::pair<int64_t, int64_t>> numbers;  // of collectives, of transfers
  std::map<GroupKey, std::pair<int64_t, int64_t>> heads;    // called, ended
  std::set<GroupKey> known;
  for (const lockstep_seat& seat : ring.seats) known.insert({seat.group_id, seat.epoch});
  // Numbers without a gap, whatever is left out; from later on where the ring has lost the first.
  int64_t record_id = ring.records.empty() ? 0 : static_cast<int64_t>(ring.records.front().index);
  for (const lockstep_record& record : ring.records) {
    const auto kind = record.op < kOpKindLimit ? static_cast<OpKind>(record.op) : OpKind::kNone;
    if (*NameOf(kind) == '\0') continue;
    const GroupKey key{record.group_id, record.epoch};
    known.insert(key);
    auto& [collectives, transfers] = numbers[key];
    const bool is_transfer = kind == OpKind::kSend || kind == OpKind::kRecv;
    if (is_transfer) {
      ++transfers;
    } else {
      collectives = static_cast<int64_t>(record.seq);
      heads[key].first = collectives;
      if (record.state == LOCKSTEP_RECORD_COMPLETED) heads[key].second = collectives;
    }
    const TreePtr entry = EntryOf(record, groups_.at(key), ring);
    Set(*entry, "record_id", Tree::Integer(record_id++));
    Set(*entry, "collective_seq_id", Tree::Integer(collectives));
    Set(*entry, "p2p_seq_id", Tree::Integer(transfers));
    Set(*entry, "op_id", Tree::Integer(collectives + transfers));
    Append(*entries, entry);
  }
  const TreePtr dump = Tree::Map(), config = Tree::Map(), status = Tree::Map();
  for (const GroupKey& key : known) {
    const Group& group = groups_.at(key);
    std::string ranks;
    for (const auto& [_, rank] : group.members)
      ranks += (ranks.empty() ? "" : ", ") + rank.ToString();
    const TreePtr told = Tree::Map();
    Set(*told, "name", Tree::Text(group.name));
    Set(*told, "desc", Tree::Text(group.description));
    Set(*told, "ranks", Tree::Text("[" + ranks + "]"));
    Set(*config, group.name.c_str(), told);
    const TreePtr head = Tree::Map();
    Set(*head, "last_enqueued_collective", Tree::Integer(heads[key].first));
    Set(*head, "last_started_collective", Tree::Integer(heads[key].first));
    Set(*head, "last_completed_collective", Tree::Integer(heads[key].second));
    Set(*status, group.name.c_str(), head);
  }
  Set(*dump, "version", Tree::Text(kVersion));
  Set(*dump, "comm_lib_version", Tree::Text("lockstep"));
  Set(*dump, "rank", Tree::Integer(ring.head.rank));
  Set(*dump, "pg_config", config);
  Set(*dump, "pg_status", status);
  Set(*dump, "entries", entries);
  return dump;
}

std::map<base::Rank, TreePtr> Exporter::Run() const {
  std::map<base::Rank, TreePtr> dumps;
  for (const RingContent& ring : rings_) {
    if (ring.head.rank >= 0) dumps.try_emplace(base::Rank(ring.head.rank), DumpOf(ring));
  }
  return dumps;
}

}  // namespace

std::map<base::Rank, TreePtr> ExportFlightDumps(const std::vector<RingContent>& rings) {
  return Exporter(rings).Run();
}

}  // namespace lockstep::collectives
