// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/wide/wide_backend.h"

#include <utility>
#include <vector>

#include "collectives/engine/host_capabilities.h"
#include "collectives/engine/parts.h"
#include "collectives/engine/small_op.h"

namespace lockstep::collectives {
namespace {

std::optional<TcpCircle> AcrossOf(const Placement& placement) {
  if (!placement.even() && placement.index() != 0) return std::nullopt;
  return TcpCircle(placement.Across(placement.index()), placement.self());
}

}  // namespace

WideBackend::WideBackend(const std::shared_ptr<TcpService>& service,
                         const std::shared_ptr<TcpEnd>& end, Placement placement,
                         std::unique_ptr<Backend> memory)
    : TcpSeatedBackend(MessageCapabilities("wide"), service, end, TcpSeat::Judging::kAll),
      placement_(std::move(placement)),
      flat_(seat_),
      machine_(std::move(memory), placement_, seat_),
      across_(AcrossOf(placement_)),
      calls_(seat_, flat_.calls(), machine_, placement_, across_.has_value() ? &*across_ : nullptr),
      moves_(flat_, machine_, placement_) {}

WideBackend::~WideBackend() { seat_.Leave(); }

base::Status WideBackend::Run(const Op& op, base::OpSeq seq, const OpWatch& watch) {
  return seat_.Run(op, seq, watch, [&](TcpWait& wait) { return RunValid(op, wait); });
}

bool WideBackend::RunValid(const Op& op, TcpWait& wait) {
  if (!calls_.Exchange(op, wait)) return false;
  switch (calls_.route()) {
    case WideRoute::kNothing: return true;
    case WideRoute::kInline:
      FinishSmallOp(op, seat_.self(), seat_.size(), calls_.Inputs(op).data(), calls_.Scales(op));
      return true;
    case WideRoute::kCarried: FinishCarried(op); return true;
    case WideRoute::kMoved: return moves_.Run(op, calls_.fingerprint(), calls_.Scales(op), wait);
  }
  return false;
}

void WideBackend::FinishCarried(const Op& op) {
  if (op.reduction == Reduction::kNone) {
    FinishSmallOp(op, seat_.self(), seat_.size(), calls_.Inputs(op).data(), nullptr);
    return;
  }
  const size_t count = OutCount(op, seat_.self(), seat_.size());
  if (count == 0) return;
  std::vector<const std::byte*> sums = calls_.Sums();
  if (op.kind == OpKind::kReduceScatter || op.kind == OpKind::kReduceScatterV) {
    const Parts parts(op, seat_.size());
    for (const std::byte*& sum : sums)
      sum += parts.offset(static_cast<size_t>(seat_.self())) * DtypeBytes(op.dtype);
  }
  const WideSteps steps = WideStepsOf(op, placement_);
  Op between = op;
  between.reduction = steps.between;
  const TcpStreams::Combining combining = CombiningOf(between, nullptr);
  const std::vector<double> scales(sums.size(), steps.scale_between);
  combining.kernel(op.out, sums.data(), scales.data(), static_cast<int>(sums.size()), count);
  if (combining.divide != nullptr) combining.divide(op.out, seat_.size(), count);
}

void WideBackend::Interrupt() {
  TcpSeatedBackend::Interrupt();
  machine_.Interrupt();
}

std::string WideBackend::Explain(OpKind kind, Dtype dtype, size_t count) const {
  const std::string text = DescribeOp(kind, dtype, Reduction::kNone, -1, count) + ": ";
  if (kind == OpKind::kSend || kind == OpKind::kRecv)
    return text + ExplainPlan(kind, dtype, count, seat_.size(), seat_.link()) + flat_.ExplainPath();
  const std::string machines = std::to_string(placement_.machine_count()) + " machines";
  Op op{.kind = kind, .dtype = dtype, .peer = 0, .count = count};
  const bool reduces = kind == OpKind::kAllReduce || kind == OpKind::kReduce ||
                       kind == OpKind::kReduceScatter || kind == OpKind::kReduceScatterV;
  if (reduces) op.reduction = Reduction::kSum;
  if (kind == OpKind::kAllGatherV || kind == OpKind::kReduceScatterV)
    op.counts.assign(static_cast<size_t>(seat_.size()), count);
  switch (kind == OpKind::kAllToAllV ? WideRoute::kMoved
                                     : WideRouteOf(op, seat_.size(), placement_.largest())) {
    case WideRoute::kNothing:
      return text + "the exchange of calls alone, through shared memory, then among " + machines;
    case WideRoute::kInline:
      return text + "with the exchange of calls, since inputs have at most " +
             std::to_string(kWideInlineBytes) + " bytes each: through shared memory, then among " +
             machines;
    case WideRoute::kCarried:
      return text + "each machine's inputs, " + (reduces ? "combined" : "put together") +
             " through shared memory, go with the exchange of calls among " + machines +
             ", since they have at most " +
             std::to_string(kWideCarriedBytes / static_cast<size_t>(placement_.largest())) +
             " bytes";
    case WideRoute::kMoved: return text + moves_.Explain(kind, dtype, count) + flat_.ExplainPath();
  }
  return text;
}

}  // namespace lockstep::collectives
