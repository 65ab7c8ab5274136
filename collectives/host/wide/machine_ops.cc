// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/wide/machine_ops.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "collectives/engine/private_buffer.h"
#include "collectives/engine/reduce_kernels.h"

namespace lockstep::collectives {
namespace {

size_t Sum(const std::vector<size_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

void Copy(std::byte* to, const std::byte* from, size_t bytes) {
  if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
}

}  // namespace

WideSteps WideStepsOf(const Op& op, const Placement& placement) {
  if (op.reduction == Reduction::kPremultipliedSum)
    return {.within = op.reduction, .scale_within = op.scale, .between = Reduction::kSum};
  if (op.reduction != Reduction::kAverage) return {.within = op.reduction, .between = op.reduction};
  if (!RoundsEachStep(op.dtype, op.reduction))
    return {.within = Reduction::kSum, .between = op.reduction};
  const auto factor =
      static_cast<double>(std::bit_ceil(static_cast<unsigned>(placement.largest())));
  return {.within = Reduction::kPremultipliedSum,
          .scale_within = 1 / factor,
          .between = Reduction::kPremultipliedSum,
          .scale_between = factor / placement.member_count()};
}

bool MachineOps::Run(Op op, TcpWait::Phase phase, TcpWait& wait) {
  const Op& whole = wait.op();
  op.call_file = whole.call_file;
  op.call_line = whole.call_line;
  op.timeout = whole.timeout;
  OpWatch watch{.deadline = wait.watch().deadline};
  if (wait.watch().on_long_wait) {
    watch.on_long_wait = [&](int index) {
      wait.watch().on_long_wait(placement_.neighbors()[static_cast<size_t>(index)]);
    };
  }
  watch.gives_up = [&](int index) {
    return !wait.Tend(phase, placement_.neighbors()[static_cast<size_t>(index)]);
  };
  const base::Status status = memory_->Run(op, base::OpSeq(++seq_), watch);
  wait.Moved();
  if (status.ok()) return true;
  if (!wait.Over()) Fail(status);
  return false;
}

// The words are those of the group within the machine, which say what went wrong.
void MachineOps::Fail(const base::Status& error) {
  const std::vector<base::Rank>& ranks = seat_.members().spec().world_ranks;
  std::vector<int> blamed;
  for (const base::Subject& subject : error.root().subjects()) {
    const auto place = std::find(ranks.begin(), ranks.end(), subject.rank);
    if (place != ranks.end()) blamed.push_back(static_cast<int>(place - ranks.begin()));
  }
  (void)seat_.Fail(error.root(), blamed);
}

bool MachineOps::RunFirstStep(const Op& op, Op part, TcpWait& wait) {
  const WideSteps steps = WideStepsOf(op, placement_);
  part.dtype = op.dtype;
  part.reduction = steps.within;
  part.scale = steps.scale_within;
  return Run(std::move(part), TcpWait::Phase::kData, wait);
}

void MachineOps::Scale(const Op& op, const std::byte* in, std::byte* out, size_t count) const {
  const WideSteps steps = WideStepsOf(op, placement_);
  if (steps.within == Reduction::kPremultipliedSum && count > 0) {
    FindReduceKernel(op.dtype, steps.within)(out, &in, &steps.scale_within, 1, count);
  } else {
    Copy(out, in, count * DtypeBytes(op.dtype));
  }
}

bool MachineOps::AllReduce(const Op& op, const std::byte* in, std::byte* out, size_t count,
                           TcpWait& wait) {
  if (alone()) {
    Scale(op, in, out, count);
    return true;
  }
  return RunFirstStep(op, {.kind = OpKind::kAllReduce, .in = in, .out = out, .count = count}, wait);
}

bool MachineOps::Reduce(const Op& op, const std::byte* in, std::byte* out, size_t count, int root,
                        TcpWait& wait) {
  if (alone()) {
    Scale(op, in, out, count);
    return true;
  }
  return RunFirstStep(op,
                      {.kind = OpKind::kReduce,
                       .peer = root,
                       .in = in,
                       .out = self() == root ? out : nullptr,
                       .count = count},
                      wait);
}

bool MachineOps::ReduceScatter(const Op& op, const std::byte* in, std::byte* out,
                               const std::vector<size_t>& counts, TcpWait& wait) {
  if (alone()) {
    Scale(op, in, out, counts.front());
    return true;
  }
  return RunFirstStep(op,
                      {.kind = OpKind::kReduceScatterV,
                       .in = in,
                       .out = out,
                       .count = Sum(counts),
                       .counts = counts},
                      wait);
}

bool MachineOps::AllGather(Dtype dtype, std::byte* out, const std::vector<size_t>& counts,
                           TcpWait& wait) {
  if (alone()) return true;
  size_t before = 0;
  for (int index = 0; index < self(); ++index) before += counts[static_cast<size_t>(index)];
  return Run({.kind = OpKind::kAllGatherV,
              .dtype = dtype,
              .in = out + before * DtypeBytes(dtype),
              .out = out,
              .count = Sum(counts),
              .counts = counts},
             TcpWait::Phase::kData, wait);
}

bool MachineOps::Broadcast(Dtype dtype, std::byte* data, size_t count, int root, TcpWait& wait,
                           TcpWait::Phase phase) {
  if (alone()) return true;
  return Run({.kind = OpKind::kBroadcast,
              .dtype = dtype,
              .peer = root,
              .in = data,
              .out = data,
              .count = count},
             phase, wait);
}

void MachineOps::Interrupt() {
  if (!alone()) memory_->Interrupt();
}

base::Result<std::shared_ptr<SharedBuffer>> MachineOps::AllocBuffer(size_t bytes,
                                                                    const OpDeadline& deadline) {
  if (alone()) return MakePrivateBuffer(bytes);
  return memory_->AllocBuffer(bytes, deadline);
}

std::string MachineOps::Explain(OpKind kind, Dtype dtype, size_t count) const {
  return alone() ? "" : memory_->Explain(kind, dtype, count);
}

}  // namespace lockstep::collectives
