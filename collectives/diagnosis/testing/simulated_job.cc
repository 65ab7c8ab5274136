// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/testing/simulated_job.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <tuple>

namespace lockstep::collectives::testing {
namespace {

using Kind = Fault::Kind;

constexpr int64_t kLookAfterUs = 10'000'000;
constexpr int kWorld = 0;  // the first group

uint64_t FingerprintOf(const std::string& group, uint64_t seq, const std::string& call) {
  return std::hash<std::string>()(group + "#" + std::to_string(seq) + "#" + call) | 1;
}

}  // namespace

std::string FaultName(Kind kind) {
  static constexpr const char* kNames[] = {
      "stopped", "held inside", "loops",     "blocked in I/O", "exits early", "killed", "fails",
      "op",      "dtype",       "reduction", "root",           "count",       "skips",  "swaps"};
  return kNames[static_cast<size_t>(kind)];
}

SimulatedJob::SimulatedJob(const Shape& shape, uint64_t seed)
    : on_mismatch_(shape.on_mismatch),
      size_(shape.tensor * shape.data * shape.pipeline),
      random_(seed) {
  programs_.resize(static_cast<size_t>(size_));
  ranks_.resize(static_cast<size_t>(size_));
  MakeGroups(shape);
  MakePrograms(shape);
}

// Rank = (stage * data + replica) * tensor + shard.
void SimulatedJob::MakeGroups(const Shape& shape) {
  const auto rank_at = [&](int stage, int replica, int shard) {
    return base::Rank((stage * shape.data + replica) * shape.tensor + shard);
  };
  Group world{.name = "world", .members = {}};
  for (int rank = 0; rank < size_; ++rank) world.members.emplace_back(rank);
  groups_.push_back(std::move(world));
  for (int stage = 0; stage < shape.pipeline; ++stage) {
    for (int replica = 0; replica < shape.data; ++replica) {
      Group group{.name = "tensor" + std::to_string(stage) + "." + std::to_string(replica),
                  .members = {}};
      for (int shard = 0; shard < shape.tensor; ++shard)
        group.members.push_back(rank_at(stage, replica, shard));
      if (group.members.size() > 1) groups_.push_back(std::move(group));
    }
    for (int shard = 0; shard < shape.tensor; ++shard) {
      Group group{.name = "data" + std::to_string(stage) + "." + std::to_string(shard),
                  .members = {}};
      for (int replica = 0; replica < shape.data; ++replica)
        group.members.push_back(rank_at(stage, replica, shard));
      if (group.members.size() > 1) groups_.push_back(std::move(group));
    }
  }
}

// Forward through the stages, backward, gradients, and now and then all together.
void SimulatedJob::MakePrograms(const Shape& shape) {
  const auto groups_of = [&](const std::string& kind, int stage) {
    std::vector<int> found;
    for (size_t i = 0; i < groups_.size(); ++i) {
      if (groups_[i].name.starts_with(kind + std::to_string(stage) + "."))
        found.push_back(static_cast<int>(i));
    }
    return found;
  };
  const int per_stage = shape.data * shape.tensor;
  const Call sum{.kind = OpKind::kAllReduce, .reduction = Reduction::kSum};
  for (int step = 0; step < shape.steps; ++step) {
    for (int stage = 0; stage < shape.pipeline; ++stage) {
      for (const int group : groups_of("tensor", stage)) {
        Call call = sum;
        call.group = group;
        call.count = 64 + random_.Below(3);
        Add(group, call);
        if (random_.Below(3) == 0)
          Add(group, {.kind = OpKind::kBroadcast, .root_or_peer = 0, .count = 8});
      }
      if (stage + 1 == shape.pipeline) break;
      for (int at = 0; at < per_stage; ++at) {
        const int from = stage * per_stage + at;
        AddTransfer(kWorld, from, from + per_stage, 256, random_.Below(2) == 0);
      }
    }
    for (int stage = shape.pipeline; stage-- > 0;) {
      for (const int group : groups_of("data", stage)) {
        const bool background = random_.Below(2) == 0;
        for (int bucket = 0; bucket < 2; ++bucket) {
          Call call = sum;
          call.count = 1000 + static_cast<uint64_t>(bucket);
          call.background = background;
          Add(group, call);
        }
        if (random_.Below(3) == 0)
          Add(group, {.kind = OpKind::kReduceScatter, .reduction = Reduction::kSum, .count = 32});
      }
    }
    Add(kWorld, {.kind = random_.Below(2) == 0 ? OpKind::kBarrier : OpKind::kAllGather,
                 .count = 4,
                 .ends_step = true});
  }
}

void SimulatedJob::Add(int group, Call call) {
  call.group = group;
  for (const base::Rank member : groups_[static_cast<size_t>(group)].members)
    programs_[Index(member)].push_back(call);
}

void SimulatedJob::AddTransfer(int group, int from, int to, uint64_t count, bool eager) {
  programs_[static_cast<size_t>(from)].push_back({.group = group,
                                                  .kind = OpKind::kSend,
                                                  .root_or_peer = to,
                                                  .count = count,
                                                  .background = eager});
  programs_[static_cast<size_t>(to)].push_back(
      {.group = group, .kind = OpKind::kRecv, .root_or_peer = from, .count = count});
}

bool SimulatedJob::Matters(const Fault& fault) const {
  const std::vector<Call>& program = programs_[Index(fault.rank)];
  const Call& call = program[fault.at];
  const bool moves = call.kind == OpKind::kSend || call.kind == OpKind::kRecv;
  switch (fault.kind) {
    case Kind::kOp:
    case Kind::kSkips: return !moves;
    case Kind::kDtype:
    case Kind::kCount: return !moves && call.kind != OpKind::kBarrier;
    case Kind::kReduction: return call.reduction != Reduction::kNone;
    case Kind::kRoot: return call.kind == OpKind::kBroadcast;
    case Kind::kHeldInside: return !moves && !call.background;
    case Kind::kSwaps: {
      // Another member of both groups makes the two calls in their order, and waits in the first.
      if (fault.at + 1 >= program.size()) return false;
      const Call& next = program[fault.at + 1];
      const bool next_moves = next.kind == OpKind::kSend || next.kind == OpKind::kRecv;
      if (moves || next_moves || call.group == next.group || call.background || next.background)
        return false;
      int both = 0;
      for (const base::Rank member : groups_[static_cast<size_t>(call.group)].members) {
        const auto& others = groups_[static_cast<size_t>(next.group)].members;
        both += std::find(others.begin(), others.end(), member) != others.end() ? 1 : 0;
      }
      return both > 1;
    }
    default: return true;
  }
}

void SimulatedJob::Cut(base::Rank one, base::Rank other, size_t after) {
  cut_ = {MachineOf(Index(one)), MachineOf(Index(other))};
  cut_after_ = after;
}

bool SimulatedJob::IsCut(size_t one, size_t other) const {
  return std::pair(MachineOf(one), MachineOf(other)) == *cut_ ||
         std::pair(MachineOf(other), MachineOf(one)) == *cut_;
}

void SimulatedJob::AddSockets(Evidence& evidence) const {
  const auto address = [](size_t at, size_t to) {
    return "10.0." + std::to_string(MachineOf(at)) + ".1:" + std::to_string(at * 100 + to);
  };
  for (size_t at = 0; at < ranks_.size(); ++at) {
    for (size_t to = 0; to < ranks_.size(); ++to) {
      if (MachineOf(at) == MachineOf(to)) continue;
      SeenSocket socket{.local = address(at, to), .remote = address(to, at)};
      if (stuck_.contains({at, to})) {
        socket.unacked_bytes = 256;
        socket.retransmits = 5;
      }
      evidence.ranks[at].sockets.push_back(std::move(socket));
    }
  }
}

void SimulatedJob::Run(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    ranks_[Index(fault.rank)].fault = fault;
    if (fault.kind == Kind::kSwaps) {
      std::vector<Call>& program = programs_[Index(fault.rank)];
      std::swap(program[fault.at], program[fault.at + 1]);
    }
  }
  bool moved = true;
  while (moved) {
    moved = false;
    for (size_t rank = 0; rank < ranks_.size(); ++rank) moved |= Advance(rank);
  }
}

/// What the fault makes of its rank before the call. False: the rank makes no more calls.
bool SimulatedJob::Strike(RankState& state, Call& call) {
  const Fault fault = *state.fault;
  switch (fault.kind) {
    case Kind::kStopped: state.state = ProcessState::kStopped; return false;
    case Kind::kLoops: state.state = ProcessState::kRuns; return false;
    case Kind::kBlockedInIo: state.state = ProcessState::kBlockedInIo; return false;
    case Kind::kExitsEarly:
    case Kind::kKilled:
    case Kind::kFails:
      state.state = ProcessState::kEnded;
      state.signal = fault.kind == Kind::kKilled ? SIGKILL : 0;
      state.exit_code = fault.kind == Kind::kFails ? 3 : 0;
      state.ended_us = state.now_us;
      return false;
    case Kind::kOp:
      call.kind = call.kind == OpKind::kAllReduce ? OpKind::kReduce : OpKind::kAllReduce;
      call.reduction = Reduction::kSum;
      return true;
    case Kind::kDtype: call.dtype = Dtype::kI32; return true;
    case Kind::kReduction: call.reduction = Reduction::kMax; return true;
    case Kind::kRoot: call.root_or_peer = 1; return true;
    case Kind::kCount: call.count /= 2; return true;
    case Kind::kHeldInside: state.state = ProcessState::kStopped; return true;
    default: return true;
  }
}

bool SimulatedJob::IsHeld(const RankState& state) const {
  return std::any_of(state.made.begin(), state.made.end(), [](const Made& made) {
    return made.caller_waits && made.state == LOCKSTEP_RECORD_STARTED;
  });
}

bool SimulatedJob::Advance(size_t rank) {
  RankState& state = ranks_[rank];
  const std::vector<Call>& program = programs_[rank];
  if (state.is_out || IsHeld(state)) return false;
  if (state.next == program.size()) {
    state.is_out = true;
    state.state = ProcessState::kEnded;
    state.ended_us = state.now_us;
    return true;
  }
  Call call = program[state.next];
  state.now_us += 100 + static_cast<int64_t>(random_.Below(1000));
  if (call.ends_step) {
    for (Made& made : state.made) {
      if (made.state != LOCKSTEP_RECORD_STARTED) continue;
      made.caller_waits = true;
      return true;
    }
  }
  const bool strikes = state.fault.has_value() && state.fault->at == state.next;
  if (strikes && !Strike(state, call)) {
    state.is_out = true;
    return true;
  }
  ++state.next;
  if (!strikes || state.fault->kind != Kind::kSkips) Make(rank, call);
  return true;
}

void SimulatedJob::Make(size_t rank, Call call) {
  RankState& state = ranks_[rank];
  const bool sends = call.kind == OpKind::kSend;
  const bool moves = sends || call.kind == OpKind::kRecv;
  const uint64_t seq = moves ? ++state.transfers[sends ? 0 : 1][{call.group, call.root_or_peer}]
                             : ++state.seqs[call.group];
  Made made{.call = call, .seq = base::OpSeq(seq), .called_us = state.now_us};
  const bool eager = sends && call.background;
  made.caller_waits = !call.background;
  if (eager) made.state = LOCKSTEP_RECORD_COMPLETED;
  state.made.push_back(made);
  const int self = static_cast<int>(rank);
  SlotKey key{call.group, -1, -1, seq};
  if (moves)
    key = {call.group, sends ? self : call.root_or_peer, sends ? call.root_or_peer : self, seq};
  Meet(key, rank, state.made.size() - 1,
       moves ? 2 : groups_[static_cast<size_t>(call.group)].members.size());
}

void SimulatedJob::Meet(const SlotKey& key, size_t rank, size_t index, size_t wanted) {
  Slot& slot = slots_[key];
  slot.calls.emplace_back(rank, index);
  if (slot.calls.size() == wanted) End(slot);
}

void SimulatedJob::End(Slot& slot) {
  int64_t last_us = 0;
  bool differs = false, is_held = false;
  const auto call_of = [&](const std::pair<size_t, size_t>& at) -> Made& {
    return ranks_[at.first].made[at.second];
  };
  for (const auto& at : slot.calls) {
    const Made& made = call_of(at);
    last_us = std::max(last_us, made.called_us);
    const bool moves = made.call.kind == OpKind::kSend || made.call.kind == OpKind::kRecv;
    differs |= !moves && made.call.Key() != call_of(slot.calls.front()).call.Key();
    is_held |= ranks_[at.first].state == ProcessState::kStopped;
  }
  if (is_held || (differs && on_mismatch_ == OnMismatch::kHang)) return;
  if (cut_.has_value() && ended_ >= cut_after_) {
    bool is_stuck = false;
    for (const auto& one : slot.calls) {
      for (const auto& other : slot.calls) {
        if (!IsCut(one.first, other.first)) continue;
        stuck_.emplace(one.first, other.first);
        is_stuck = true;
      }
    }
    if (is_stuck) return;
  }
  ++ended_;
  const bool fails = differs && on_mismatch_ == OnMismatch::kError;
  for (const auto& at : slot.calls) {
    Made& made = call_of(at);
    if (made.state != LOCKSTEP_RECORD_COMPLETED)
      made.state = fails ? LOCKSTEP_RECORD_ERROR : LOCKSTEP_RECORD_COMPLETED;
    RankState& state = ranks_[at.first];
    state.now_us = std::max(state.now_us, last_us + 20);
    if (!fails) continue;  // who learns of an error ends with it
    state.is_out = true;
    state.state = ProcessState::kEnded;
    state.exit_code = 1;
    state.ended_us = state.now_us;
  }
  slot.is_over = true;
}

Evidence SimulatedJob::Look() const {
  int64_t now_us = 0;
  for (const RankState& state : ranks_) now_us = std::max(now_us, state.now_us);
  now_us += kLookAfterUs;
  Evidence evidence;
  for (size_t index = 0; index < ranks_.size(); ++index) {
    const RankState& state = ranks_[index];
    SeenRank rank{.rank = base::Rank(static_cast<int>(index)), .ring_read = true};
    rank.process = {.state = state.state,
                    .host = "node-" + std::to_string(index / 4),
                    .pid = 1000 + static_cast<int64_t>(index),
                    .exit_code = state.exit_code,
                    .signal = state.signal,
                    .ended_ago = std::chrono::microseconds(now_us - state.ended_us)};
    for (size_t group = 0; group < groups_.size(); ++group) {
      const std::vector<base::Rank>& members = groups_[group].members;
      const auto place = std::find(members.begin(), members.end(), rank.rank);
      if (place == members.end()) continue;
      rank.groups.push_back({.id = base::GroupId(group + 1),
                             .name = groups_[group].name,
                             .rank = base::GroupRank(static_cast<int>(place - members.begin())),
                             .size = static_cast<int>(members.size()),
                             .members = members});
    }
    for (const Made& made : state.made) {
      const Call& call = made.call;
      const std::string text = std::to_string(static_cast<int>(call.kind)) + "," +
                               std::to_string(static_cast<int>(call.dtype)) + "," +
                               std::to_string(static_cast<int>(call.reduction)) + "," +
                               std::to_string(call.root_or_peer) + "," + std::to_string(call.count);
      const std::string& group = groups_[static_cast<size_t>(call.group)].name;
      rank.ops.push_back(
          {.group = base::GroupId(static_cast<uint64_t>(call.group) + 1),
           .seq = made.seq,
           .kind = call.kind,
           .dtype = call.dtype,
           .reduction = call.reduction,
           .root_or_peer = call.root_or_peer,
           .count = call.count,
           .fingerprint = FingerprintOf(group, made.seq.value(), text),
           .state = made.state,
           .caller_waits = made.caller_waits && made.state == LOCKSTEP_RECORD_STARTED,
           .age = std::chrono::microseconds(now_us - made.called_us),
           .call_site = "train.cc:" + std::to_string(10 + call.group)});
    }
    evidence.ranks.push_back(std::move(rank));
  }
  if (cut_.has_value()) AddSockets(evidence);
  return evidence;
}

}  // namespace lockstep::collectives::testing
