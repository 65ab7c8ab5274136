// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/wide/wide_moves.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "collectives/engine/parts.h"
#include "runtime/base/check.h"

namespace lockstep::collectives {
namespace {

/// `count` elements in parts that differ by one at most.
std::vector<size_t> EvenParts(size_t count, int parts) {
  const auto n = static_cast<size_t>(parts);
  std::vector<size_t> counts(n, count / n);
  for (size_t i = 0; i < count % n; ++i) ++counts[i];
  return counts;
}

size_t Before(const std::vector<size_t>& counts, int index) {
  return std::accumulate(counts.begin(), counts.begin() + index, size_t{0});
}

/// This member's part to its place in the output.
void PutOwn(const Op& op, const Parts& parts, int self, size_t unit) {
  const auto member = static_cast<size_t>(self);
  std::byte* const to = op.out + parts.offset(member) * unit;
  const size_t bytes = parts.count(member) * unit;
  if (bytes > 0 && to != op.in) std::memcpy(to, op.in, bytes);
}

}  // namespace

struct WideMoves::Running {
  const Op& op;
  const uint64_t fingerprint;
  TcpWait& wait;
  const size_t unit;        // bytes of an element
  const Reduction between;  // its second step
};

// A member that carries alone would keep the others waiting without need; but parts by member must
// lie together by machine for anybody to carry several of them.
WideMoves::Way WideMoves::WayOf(OpKind kind) const {
  switch (kind) {
    case OpKind::kAllReduce:
    case OpKind::kBroadcast: return placement_.even() ? Way::kSlices : Way::kGateways;
    case OpKind::kReduce: return Way::kGateways;
    case OpKind::kAllGather:
    case OpKind::kAllGatherV:
    case OpKind::kReduceScatter:
      if (!placement_.in_blocks()) return Way::kFlat;
      return placement_.even() ? Way::kSlices : Way::kGateways;
    case OpKind::kReduceScatterV:
      return placement_.in_blocks() && placement_.even() ? Way::kSlices : Way::kFlat;
    default: return Way::kFlat;
  }
}

bool WideMoves::Run(const Op& op, uint64_t fingerprint, const double* scales, TcpWait& wait) {
  if (op.kind == OpKind::kAllToAllV) return flat_.Run(op, wait);  // its counts are to be compared
  const Way way = WayOf(op.kind);
  if (way == Way::kFlat) return flat_.Move(op, fingerprint, scales, wait);
  const WideSteps steps = WideStepsOf(op, placement_);
  scales_.assign(static_cast<size_t>(flat_.size()), steps.scale_between);
  const bool through = MoveOn(way, {op, fingerprint, wait, DtypeBytes(op.dtype), steps.between});
  if (space_.capacity() > kWideSpaceKeptBytes) std::vector<std::byte>().swap(space_);
  return through;
}

bool WideMoves::MoveOn(Way way, const Running& run) {
  const bool slices = way == Way::kSlices;
  switch (run.op.kind) {
    case OpKind::kAllReduce: return slices ? AllReduceInSlices(run) : AllReduceByGateways(run);
    case OpKind::kReduce: return ReduceByGateways(run);
    case OpKind::kBroadcast: return slices ? BroadcastInSlices(run) : BroadcastByGateways(run);
    case OpKind::kAllGather:
    case OpKind::kAllGatherV: return slices ? AllGatherInSlices(run) : AllGatherByGateways(run);
    case OpKind::kReduceScatter:
    case OpKind::kReduceScatterV:
      return slices ? ReduceScatterInSlices(run) : ReduceScatterByGateways(run);
    default: LOCKSTEP_CHECK(false, "no other kind has a way between machines");
  }
}

bool WideMoves::Between(const Running& run, const TcpCircle& circle, const Op& part) {
  return part.count == 0 ||
         Between(run, circle, PlanOf(part, circle.position(), circle.count(), flat_.link()));
}

bool WideMoves::Between(const Running& run, const TcpCircle& circle, TcpPlan plan) {
  BeginBetween(run, circle, std::move(plan));
  return EndBetween(run);
}

void WideMoves::BeginBetween(const Running& run, const TcpCircle& circle, TcpPlan plan) {
  flat_.Begin(circle, std::move(plan), run.fingerprint, run.wait);
}

TcpStreams::Combining WideMoves::CombiningBetween(const Running& run) const {
  Op between = run.op;
  between.reduction = run.between;
  return CombiningOf(between, scales_.data());
}

bool WideMoves::ContinueBetween(const Running& run) {
  return flat_.Continue(CombiningBetween(run), run.wait);
}

bool WideMoves::EndBetween(const Running& run) {
  return flat_.End(CombiningBetween(run), run.wait);
}

int WideMoves::GatewayIndex(int root) const {
  const int index = placement_.index_of(root);
  return index < static_cast<int>(placement_.neighbors().size()) ? index : 0;
}

TcpCircle WideMoves::Gateways(int root) const {
  return {placement_.Across(placement_.index_of(root)), placement_.self()};
}

// --------------------------------------------------------------------------------- ops that reduce

/// A part of an all_reduce that passes through all of its steps at once.
struct WideMoves::Stage {
  std::byte* out = nullptr;
  std::vector<size_t> slices;  // elements, by place on this machine
  std::byte* slice = nullptr;  // this member's
  bool passes = false;         // it has any
};

bool WideMoves::AllReduceInSlices(const Running& run) {
  const size_t stage_count = kWideStageBytes / run.unit;
  Stage before;
  for (size_t done = 0; done < run.op.count; done += stage_count) {
    Stage stage = StageAt(run, done, std::min(stage_count, run.op.count - done));
    const std::byte* const in = run.op.in + done * run.unit;
    if (!machine_.ReduceScatter(run.op, in, stage.slice, stage.slices, run.wait)) return false;
    if (before.passes && !EndBetween(run)) return false;
    if (stage.passes) {
      BeginBetween(run, across_, PlanOfStage(run, stage, -1));
      if (!ContinueBetween(run)) return false;
    }
    if (done > 0 && !Spread(run, before)) return false;
    if (stage.passes && !ContinueBetween(run)) return false;
    before = std::move(stage);
  }
  if (before.passes && !EndBetween(run)) return false;
  return Spread(run, before);
}

WideMoves::Stage WideMoves::StageAt(const Running& run, size_t begin, size_t count) const {
  Stage stage{.out = run.op.out + begin * run.unit, .slices = EvenParts(count, machine_.count())};
  stage.slice = stage.out + Before(stage.slices, machine_.self()) * run.unit;
  stage.passes = stage.slices[static_cast<size_t>(machine_.self())] > 0;
  return stage;
}

/// Of what this member carries of it between machines. `root`: a machine, where the op has one.
TcpPlan WideMoves::PlanOfStage(const Running& run, const Stage& stage, int root) const {
  const Op part{.kind = run.op.kind,
                .dtype = run.op.dtype,
                .reduction = run.between,
                .peer = root,
                .in = stage.slice,
                .out = stage.slice,
                .count = stage.slices[static_cast<size_t>(machine_.self())]};
  return PlanOf(part, across_.position(), across_.count(), flat_.link());
}

bool WideMoves::Spread(const Running& run, const Stage& stage) {
  return machine_.AllGather(run.op.dtype, stage.out, stage.slices, run.wait);
}

bool WideMoves::AllReduceByGateways(const Running& run) {
  const Op& op = run.op;
  if (!machine_.Reduce(op, op.in, op.out, op.count, 0, run.wait)) return false;
  const Op part{.kind = OpKind::kAllReduce,
                .dtype = op.dtype,
                .reduction = run.between,
                .in = op.out,
                .out = op.out,
                .count = op.count};
  if (FirstOfMachine() && !Between(run, across_, part)) return false;
  return machine_.Broadcast(op.dtype, op.out, op.count, 0, run.wait);
}

bool WideMoves::ReduceByGateways(const Running& run) {
  const Op& op = run.op;
  const bool is_root = op.peer == placement_.self();
  const int gateway = GatewayIndex(op.peer);
  const bool carries = gateway == machine_.self();
  if (carries && !is_root) space_.resize(op.bytes());
  std::byte* const sum = is_root ? op.out : carries ? space_.data() : nullptr;
  if (!machine_.Reduce(op, op.in, sum, op.count, gateway, run.wait)) return false;
  if (!carries) return true;
  const Op part{.kind = OpKind::kReduce,
                .dtype = op.dtype,
                .reduction = run.between,
                .peer = placement_.machine_of(op.peer),
                .in = sum,
                .out = is_root ? op.out : nullptr,
                .count = op.count};
  return Between(run, Gateways(op.peer), part);
}

bool WideMoves::ReduceScatterInSlices(const Running& run) {
  const Op& op = run.op;
  const Parts parts(op, flat_.size());
  std::vector<TcpBlock> blocks;
  size_t bytes = 0;
  for (int machine = 0; machine < placement_.machine_count(); ++machine) {
    const int member = placement_.machine(machine)[static_cast<size_t>(machine_.self())];
    blocks.push_back({bytes, parts.count(static_cast<size_t>(member)) * run.unit});
    bytes += blocks.back().bytes;
  }
  space_.resize(bytes);
  for (int machine = 0; machine < placement_.machine_count(); ++machine) {
    std::vector<size_t> counts;
    for (const int member : placement_.machine(machine))
      counts.push_back(parts.count(static_cast<size_t>(member)));
    const auto first = static_cast<size_t>(placement_.machine(machine).front());
    if (!machine_.ReduceScatter(op, op.in + parts.offset(first) * run.unit,
                                space_.data() + blocks[static_cast<size_t>(machine)].offset, counts,
                                run.wait))
      return false;
  }
  return ScatterBetween(run, space_.data(), op.out, std::move(blocks));
}

/// Each machine's block of `in`, combined over the machines, to `out`.
bool WideMoves::ScatterBetween(const Running& run, const std::byte* in, std::byte* out,
                               std::vector<TcpBlock> blocks) {
  const Op part{.kind = OpKind::kReduceScatter,
                .dtype = run.op.dtype,
                .reduction = run.between,
                .in = in,
                .out = out};
  return Between(run, across_, PlanReduceScatter(part, std::move(blocks), across_.position()));
}

bool WideMoves::ReduceScatterByGateways(const Running& run) {
  const Op& op = run.op;
  const size_t all = InCount(op, placement_.self(), flat_.size());
  const size_t own = placement_.neighbors().size() * op.bytes();
  if (FirstOfMachine()) space_.resize(all * run.unit + own);
  std::byte* const sums = FirstOfMachine() ? space_.data() : nullptr;
  if (!machine_.Reduce(op, op.in, sums, all, 0, run.wait)) return false;
  std::byte* const mine = machine_.alone() || !FirstOfMachine() ? op.out : sums + all * run.unit;
  if (FirstOfMachine()) {
    std::vector<TcpBlock> blocks;
    for (int machine = 0; machine < placement_.machine_count(); ++machine) {
      const std::vector<int>& members = placement_.machine(machine);
      blocks.push_back(
          {static_cast<size_t>(members.front()) * op.bytes(), members.size() * op.bytes()});
    }
    if (!ScatterBetween(run, sums, mine, std::move(blocks))) return false;
  }
  if (machine_.alone()) return true;
  return machine_.Run({.kind = OpKind::kScatter,
                       .dtype = op.dtype,
                       .peer = 0,
                       .in = FirstOfMachine() ? mine : nullptr,
                       .out = op.out,
                       .count = op.count},
                      TcpWait::Phase::kData, run.wait);
}

// ----------------------------------------------------------------------------------- ops that move

bool WideMoves::BroadcastInSlices(const Running& run) {
  const Op& op = run.op;
  const bool here = placement_.machine_of(op.peer) == placement_.mine();
  const int root = placement_.index_of(op.peer);  // on its machine
  const size_t stage_count = kWideStageBytes / run.unit;
  Stage before;
  for (size_t done = 0; done < op.count; done += stage_count) {
    const size_t count = std::min(stage_count, op.count - done);
    Stage stage = StageAt(run, done, count);
    if (here && !machine_.Broadcast(op.dtype, stage.out, count, root, run.wait)) return false;
    if (before.passes && !EndBetween(run)) return false;
    if (stage.passes) {
      BeginBetween(run, across_, PlanOfStage(run, stage, placement_.machine_of(op.peer)));
      if (!ContinueBetween(run)) return false;
    }
    if (!here && done > 0 && !Spread(run, before)) return false;
    if (stage.passes && !ContinueBetween(run)) return false;
    before = std::move(stage);
  }
  if (before.passes && !EndBetween(run)) return false;
  return here || Spread(run, before);
}

bool WideMoves::BroadcastByGateways(const Running& run) {
  const Op& op = run.op;
  const int gateway = GatewayIndex(op.peer);
  const Op part{.kind = OpKind::kBroadcast,
                .dtype = op.dtype,
                .peer = placement_.machine_of(op.peer),
                .in = op.out,
                .out = op.out,
                .count = op.count};
  if (gateway == machine_.self() && !Between(run, Gateways(op.peer), part)) return false;
  return machine_.Broadcast(op.dtype, op.out, op.count, gateway, run.wait);
}

bool WideMoves::AllGatherInSlices(const Running& run) {
  const Op& op = run.op;
  const Parts parts(op, flat_.size());
  PutOwn(op, parts, placement_.self(), run.unit);
  std::vector<TcpBlock> blocks;
  for (const int member : placement_.Across(machine_.self())) {
    const auto place = static_cast<size_t>(member);
    blocks.push_back({parts.offset(place) * run.unit, parts.count(place) * run.unit});
  }
  if (!Between(run, across_, PlanAllGather(op.out, std::move(blocks), across_.position())))
    return false;
  for (int machine = 0; machine < placement_.machine_count(); ++machine) {
    std::vector<size_t> counts;
    for (const int member : placement_.machine(machine))
      counts.push_back(parts.count(static_cast<size_t>(member)));
    const auto first = static_cast<size_t>(placement_.machine(machine).front());
    if (!machine_.AllGather(op.dtype, op.out + parts.offset(first) * run.unit, counts, run.wait))
      return false;
  }
  return true;
}

bool WideMoves::AllGatherByGateways(const Running& run) {
  const Op& op = run.op;
  const Parts parts(op, flat_.size());
  PutOwn(op, parts, placement_.self(), run.unit);
  std::vector<TcpBlock> blocks;
  std::vector<size_t> own;
  for (int machine = 0; machine < placement_.machine_count(); ++machine) {
    std::vector<size_t> counts;
    for (const int member : placement_.machine(machine))
      counts.push_back(parts.count(static_cast<size_t>(member)));
    const auto first = static_cast<size_t>(placement_.machine(machine).front());
    blocks.push_back({parts.offset(first) * run.unit,
                      Before(counts, static_cast<int>(counts.size())) * run.unit});
    if (machine == placement_.mine()) own = std::move(counts);
  }
  std::byte* const block = op.out + blocks[static_cast<size_t>(placement_.mine())].offset;
  if (!machine_.AllGather(op.dtype, block, own, run.wait)) return false;
  if (FirstOfMachine() &&
      !Between(run, across_, PlanAllGather(op.out, std::move(blocks), across_.position())))
    return false;
  return machine_.Broadcast(op.dtype, op.out, OutCount(op, placement_.self(), flat_.size()), 0,
                            run.wait);
}

std::string WideMoves::Explain(OpKind kind, Dtype dtype, size_t count) const {
  const Way way = WayOf(kind);
  const std::string machines = std::to_string(placement_.machine_count()) + " machines";
  const size_t part = way == Way::kSlices ? count / static_cast<size_t>(machine_.count()) : count;
  const std::string between =
      ExplainPlan(kind, dtype, part, placement_.machine_count(), flat_.link());
  if (way == Way::kSlices) {
    return "through shared memory within each of " + machines + ", and between them " + between +
           ", of which each of the " + std::to_string(machine_.count()) +
           " members there carries a slice";
  }
  if (way == Way::kGateways) {
    return "through shared memory within each of " + machines + ", and between them " + between +
           ", carried by one member of each";
  }
  const bool alike = kind != OpKind::kReduceScatterV && kind != OpKind::kReduceScatter &&
                     kind != OpKind::kAllGather && kind != OpKind::kAllGatherV;
  return std::string("by TCP between all members, since ") +
         (alike ? "each pair has its own to say" : "parts do not lie together by machine") + ": " +
         ExplainPlan(kind, dtype, count, flat_.size(), flat_.link());
}

}  // namespace lockstep::collectives
