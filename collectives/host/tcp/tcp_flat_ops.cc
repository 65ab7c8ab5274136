// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_flat_ops.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "collectives/engine/parts.h"
#include "collectives/engine/small_op.h"

namespace lockstep::collectives {
namespace {

/// Whether all inputs together go with the exchange of calls; equal on all members.
bool IsSmall(const Op& op, int size) {
  if (op.kind == OpKind::kAllToAllV) return false;
  const size_t limit = kSmallOpBytes / DtypeBytes(op.dtype);
  if (op.count > limit) return false;
  if (op.kind == OpKind::kAllGatherV || op.kind == OpKind::kReduceScatterV) {
    size_t sum = 0;
    for (const size_t count : op.counts) {
      if (count > limit) return false;
      sum += count;
    }
    const auto times = op.kind == OpKind::kAllGatherV ? size_t{1} : static_cast<size_t>(size);
    return sum * times <= limit;
  }
  if (op.kind == OpKind::kBroadcast || op.kind == OpKind::kScatter)
    return InCount(op, op.peer, size) <= limit;
  return InCount(op, 0, size) * static_cast<size_t>(size) <= limit;
}

std::span<const std::byte> AsBytes(const void* data, size_t bytes) {
  return {static_cast<const std::byte*>(data), bytes};
}

/// What stays here: this member's part of what it gets.
void CopyOwn(const Op& op, int self, int size) {
  const Parts parts(op, size);
  const size_t unit = DtypeBytes(op.dtype);
  const bool is_root = op.peer == self;
  const std::byte* from = op.in;
  switch (op.kind) {
    case OpKind::kAllGather:
    case OpKind::kAllGatherV: break;
    case OpKind::kGather:
      if (!is_root) return;
      break;
    case OpKind::kScatter:
      if (!is_root) return;
      [[fallthrough]];
    case OpKind::kAllToAll:
    case OpKind::kAllToAllV: from += parts.offset(static_cast<size_t>(self)) * unit; break;
    default: return;
  }
  std::byte* const to = op.out + parts.out_offset(self) * unit;
  const size_t bytes = parts.out_count(self) * unit;
  if (bytes > 0 && to != from) std::memcpy(to, from, bytes);
}

}  // namespace

bool HasData(OpKind kind) { return kind != OpKind::kBarrier && kind != OpKind::kAllocate; }

// An average is a sum until its end, which comes once. In 16 bits, where that might overflow, it is
// one of all inputs together; else each step's is one, which loses nothing of small values either.
TcpStreams::Combining CombiningOf(const Op& op, const double* scales) {
  TcpStreams::Combining combining{.unit = DtypeBytes(op.dtype)};
  if (op.reduction == Reduction::kNone) return combining;
  const bool average =
      op.reduction == Reduction::kAverage && !RoundsEachStep(op.dtype, op.reduction);
  combining.kernel = FindReduceKernel(op.dtype, average ? Reduction::kSum : op.reduction);
  if (average) combining.divide = FindDivideKernel(op.dtype);
  if (op.reduction == Reduction::kAverage && !average)
    combining.mean = FindReduceKernel(op.dtype, Reduction::kPremultipliedSum);
  combining.scales = scales;
  return combining;
}

TcpFlatOps::TcpFlatOps(TcpSeat& seat)
    : seat_(seat),
      whole_(TcpCircle::Whole(seat.size(), seat.self())),
      flows_most_(seat.members().MostFlows()),
      flows_(seat.service(), seat.end()),
      calls_(seat.end(), flows_),
      streams_(seat.end(), flows_) {}

std::vector<uint64_t> TcpFlatOps::CountsOf(const Op& op) const {
  if (op.kind != OpKind::kAllToAllV) return {};
  std::vector<uint64_t> counts(op.counts.begin(), op.counts.end());
  counts.insert(counts.end(), op.out_counts.begin(), op.out_counts.end());
  return counts;
}

bool TcpFlatOps::Run(const Op& op, TcpWait& wait) {
  const bool has_data = HasData(op.kind);
  const bool small = has_data && IsSmall(op, size());
  CallEntry entry = seat_.EntryOf(op, wait.seq());
  const std::vector<uint64_t> counts = CountsOf(op);
  std::span<const std::byte> payload =
      small ? AsBytes(op.in, InCount(op, self(), size()) * DtypeBytes(op.dtype))
            : AsBytes(counts.data(), counts.size() * sizeof(uint64_t));
  entry.payload_bytes = static_cast<uint32_t>(payload.size());
  const bool streams = has_data && !small;
  if (streams) streams_.Begin(PlanOf(op, self(), size(), paths()), entry.fingerprint, wait.seq());
  const bool exchanged = calls_.Exchange(whole_, entry, payload, wait, [&] {
    if (streams) streams_.SendAtOnce(wait);  // to be on its way while calls are compared
  });
  if (!exchanged || !CallsAgree(wait)) return false;
  if (small) FinishSmall(op);
  if (!streams) return true;
  CopyOwn(op, self(), size());
  return streams_.Move(CombiningOf(op, Scales(op)), wait);
}

bool TcpFlatOps::Move(const Op& op, uint64_t fingerprint, const double* scales, TcpWait& wait) {
  if (!HasData(op.kind)) return true;
  streams_.Begin(PlanOf(op, self(), size(), paths()), fingerprint, wait.seq());
  CopyOwn(op, self(), size());
  return streams_.Move(CombiningOf(op, scales), wait);
}

void TcpFlatOps::Begin(const TcpCircle& circle, TcpPlan plan, uint64_t fingerprint, TcpWait& wait) {
  streams_.Begin(circle.Named(std::move(plan)), fingerprint, wait.seq());
}

const double* TcpFlatOps::Scales(const Op& op) {
  if (op.reduction != Reduction::kPremultipliedSum) return nullptr;
  scales_.resize(static_cast<size_t>(size()));
  for (int member = 0; member < size(); ++member)
    scales_[static_cast<size_t>(member)] = calls_.call(member).scale;
  return scales_.data();
}

void TcpFlatOps::FinishSmall(const Op& op) {
  std::vector<const std::byte*> inputs;
  for (int member = 0; member < size(); ++member) inputs.push_back(calls_.payload(member).data());
  FinishSmallOp(op, self(), size(), inputs.data(), Scales(op));
}

bool TcpFlatOps::CallsAgree(TcpWait& wait) {
  const auto call_of = [this](int member) -> const CallEntry& { return calls_.call(member); };
  if (!seat_.CallsAgree(call_of, wait)) return false;
  if (wait.op().kind == OpKind::kAllToAllV) return CountsAgree(wait);
  const bool small = HasData(wait.op().kind) && IsSmall(wait.op(), size());
  for (int member = 0; member < size(); ++member) {
    const size_t bytes =
        small ? InCount(wait.op(), member, size()) * DtypeBytes(wait.op().dtype) : 0;
    if (calls_.payload(member).size() == bytes) continue;
    wait.FailProtocol(member, base::DataLossError("an input has the wrong size"));
    return false;
  }
  return true;
}

bool TcpFlatOps::CountsAgree(TcpWait& wait) {
  const auto n = static_cast<size_t>(size());
  const auto count_at = [&](int member, size_t index) {
    uint64_t count;
    std::memcpy(&count, calls_.payload(member).data() + index * sizeof count, sizeof count);
    return count;
  };
  for (int member = 0; member < size(); ++member) {
    if (calls_.payload(member).size() == 2 * n * sizeof(uint64_t)) continue;
    wait.FailProtocol(member, base::DataLossError("its counts have the wrong size"));
    return false;
  }
  const TcpMembers& members = seat_.members();
  for (int from = 0; from < size(); ++from) {
    for (int to = 0; to < size(); ++to) {
      const uint64_t sent = count_at(from, static_cast<size_t>(to));
      const uint64_t expected = count_at(to, n + static_cast<size_t>(from));
      if (sent == expected) continue;
      std::vector<ErrorRecord::Blamed> blamed{{from, calls_.call(from).call_site}};
      if (to != from) blamed.push_back({to, calls_.call(to).call_site});
      // In the same words on all members, whose own counts differ.
      uint64_t all = 0;
      for (size_t member = 0; member < n; ++member) all += count_at(from, member);
      wait.FailAlike(DescribeOp(wait.op().kind, wait.op().dtype, Reduction::kNone, -1, all) +
                         ", op " + std::to_string(wait.seq()) + " of group " + members.spec().name +
                         ": " + members.Describe({from}) + " sends " + std::to_string(sent) +
                         " elements to " + members.Describe({to}) + ", which expects " +
                         std::to_string(expected),
                     std::move(blamed));
      return false;
    }
  }
  return true;
}

std::string TcpFlatOps::Explain(OpKind kind, Dtype dtype, size_t count) const {
  std::string text = DescribeOp(kind, dtype, Reduction::kNone, -1, count) + ": ";
  int rounds = 0;
  for (int reached = 1; reached < size(); reached *= 2) ++rounds;
  const std::string exchange = std::to_string(rounds) + (rounds == 1 ? " round" : " rounds") +
                               " among " + std::to_string(size()) + " members";
  if (!HasData(kind)) return text + "the exchange of calls alone, " + exchange;
  Op op{.kind = kind, .dtype = dtype, .peer = 0, .count = count};
  if (kind == OpKind::kAllGatherV || kind == OpKind::kReduceScatterV)
    op.counts.assign(static_cast<size_t>(size()), count);
  const bool transfer = kind == OpKind::kSend || kind == OpKind::kRecv;
  if (!transfer && IsSmall(op, size()))
    return text + "all inputs go with the exchange of calls, since they have at most " +
           std::to_string(kSmallOpBytes) + " bytes together: " + exchange;
  return text + ExplainPlan(kind, dtype, count, size(), paths()) +
         (transfer ? "" : "; calls are compared meanwhile, in " + exchange) + ExplainPath();
}

std::string TcpFlatOps::ExplainPath() const {
  int most = 1;
  bool all_alike = true;
  const TcpMembers& members = seat_.members();
  const AddressCard& mine = members.card(self());
  for (int member = 0; member < size(); ++member) {
    const int flows = std::min(mine.flows, members.card(member).flows);
    all_alike &= flows == mine.flows;
    most = member == self() ? most : std::max(most, flows);
  }
  std::string text;
  if (most > 1) {
    text += "; each pair divides its data over " + std::string(all_alike ? "" : "up to ") +
            std::to_string(most) + " connections, in stripes of " + std::to_string(kStripeBytes) +
            " bytes, as the members were told (--tcp-flows)";
  }
  if (mine.encrypts) text += "; encrypted (--encrypt-data)";
  return text;
}

}  // namespace lockstep::collectives
