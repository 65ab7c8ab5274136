// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_backend.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "collectives/engine/host_capabilities.h"
#include "collectives/engine/parts.h"
#include "collectives/engine/private_buffer.h"
#include "collectives/engine/small_op.h"
#include "collectives/recorder/recorder.h"

namespace lockstep::collectives {
namespace {

bool HasData(OpKind kind) { return kind != OpKind::kBarrier && kind != OpKind::kAllocate; }

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

bool IsOversubscribed(int members_here) {
  cpu_set_t cpus;
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) return true;
  return CPU_COUNT(&cpus) < members_here;
}

std::span<const std::byte> AsBytes(const void* data, size_t bytes) {
  return {static_cast<const std::byte*>(data), bytes};
}

ErrorRecord RecordOf(const base::Status& error, const std::vector<int>& blamed, uint64_t from_seq) {
  ErrorRecord record{.code = error.code(),
                     .failure_class = error.failure_class(),
                     .from_seq = from_seq,
                     .message = error.message()};
  for (const int member : blamed) record.blamed.push_back({member, ""});
  return record;
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

TcpBackend::TcpBackend(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end)
    : capabilities_(HostCapabilities("tcp")),
      service_(std::move(service)),
      end_(std::move(end)),
      members_here_(end_->members().CountOnThisHost()),
      oversubscribed_(IsOversubscribed(members_here_)),
      flows_(service_, end_),
      calls_(end_, flows_),
      streams_(end_, flows_),
      transfers_(service_, end_) {
  capabilities_.bitwise_reproducible = false;
}

// Before the connections close: who finds one closed asks why.
TcpBackend::~TcpBackend() {
  const TcpMembers& members = end_->members();
  service_->Unregister(members.id(), members.spec().epoch, self(),
                       {.completed_seq = end_->completed_seq.load(), .failed = end_->poisoned()});
}

base::Status TcpBackend::Run(const Op& op, base::OpSeq seq, const OpWatch& watch) {
  if (end_->PoisonedAt(seq.value())) return LateError(op, seq.value());
  const auto leaving = [this] {
    return base::AbortedError("this member is leaving or aborting group " +
                              end_->members().spec().name);
  };
  if (ended_ || interrupted_.load(std::memory_order_relaxed)) return leaving();
  if (!op.refusal.ok()) return Refuse(op, seq.value());
  end_->called_seq.store(seq.value(), std::memory_order_release);
  TcpWait wait({*service_, end_, interrupted_, members_here_, oversubscribed_, cpu_share_}, op,
               seq.value(), watch);
  if (RunValid(op, seq.value(), wait)) {
    end_->completed_seq.store(seq.value(), std::memory_order_release);
    return base::OkStatus();
  }
  ended_ = true;
  if (!end_->PoisonedAt(seq.value())) return leaving();
  return end_->ErrorStatus();
}

// The op that the error is about fails with the error itself, also on a member that comes to it
// late.
base::Status TcpBackend::LateError(const Op& op, uint64_t seq) {
  if (std::exchange(ended_, true) || end_->error()->op_seq != seq) return end_->FailedBefore();
  return op.refusal.ok() ? end_->ErrorStatus() : op.refusal;
}

// The others hear of it at once, and fail with it when they come to this op: those before it may
// still end well.
base::Status TcpBackend::Refuse(const Op& op, uint64_t seq) {
  const TcpMembers& members = end_->members();
  ErrorRecord record;
  record.code = base::Code::kFailedPrecondition;
  record.failure_class = base::FailureClass::kUsage;
  record.op_seq = record.from_seq = seq;
  record.op.kind = op.kind;
  record.op.dtype = op.dtype;
  record.op.reduction = op.reduction;
  record.op.peer = op.peer;
  record.op.count = op.count;
  record.message = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + ", op " +
                   std::to_string(seq) + " of group " + members.spec().name + ", was refused on " +
                   members.Describe({self()}) + ": " + op.refusal.message();
  record.blamed.push_back({self(), EntryOf(op, seq).call_site});
  ended_ = true;
  if (end_->SetError(std::move(record))) service_->TellError(end_);
  return op.refusal;
}

CallEntry TcpBackend::EntryOf(const Op& op, uint64_t seq) const {
  CallEntry entry;
  entry.fingerprint =
      FingerprintOf(op, end_->members().id(), end_->members().spec().epoch, base::OpSeq(seq));
  entry.count = op.count;
  entry.scale = op.scale;
  entry.root = op.peer;
  entry.member = self();
  entry.kind = static_cast<uint8_t>(op.kind);
  entry.dtype = static_cast<uint8_t>(op.dtype);
  entry.reduction = static_cast<uint8_t>(op.reduction);
  FormatCallSite(op.call_file, op.call_line, entry.call_site, kTcpCallSiteBytes);
  return entry;
}

std::vector<uint64_t> TcpBackend::CountsOf(const Op& op) const {
  if (op.kind != OpKind::kAllToAllV) return {};
  std::vector<uint64_t> counts(op.counts.begin(), op.counts.end());
  counts.insert(counts.end(), op.out_counts.begin(), op.out_counts.end());
  return counts;
}

bool TcpBackend::RunValid(const Op& op, uint64_t seq, TcpWait& wait) {
  const bool has_data = HasData(op.kind);
  const bool small = has_data && IsSmall(op, size());
  CallEntry entry = EntryOf(op, seq);
  const std::vector<uint64_t> counts = CountsOf(op);
  std::span<const std::byte> payload =
      small ? AsBytes(op.in, InCount(op, self(), size()) * DtypeBytes(op.dtype))
            : AsBytes(counts.data(), counts.size() * sizeof(uint64_t));
  entry.payload_bytes = static_cast<uint32_t>(payload.size());
  const bool streams = has_data && !small;
  if (streams) streams_.Begin(PlanOf(op, self(), size()), entry, seq);
  const bool exchanged = calls_.Exchange(entry, payload, wait, [&] {
    if (streams) streams_.SendAtOnce(wait);  // to be on its way while calls are compared
  });
  if (!exchanged || !CallsAgree(wait)) return false;
  if (small) FinishSmall(op);
  if (!streams) return true;
  CopyOwn(op, self(), size());
  return streams_.Move(CombiningOf(op), wait);
}

const double* TcpBackend::Scales(const Op& op) {
  if (op.reduction != Reduction::kPremultipliedSum) return nullptr;
  scales_.resize(static_cast<size_t>(size()));
  for (int member = 0; member < size(); ++member)
    scales_[static_cast<size_t>(member)] = calls_.call(member).scale;
  return scales_.data();
}

void TcpBackend::FinishSmall(const Op& op) {
  std::vector<const std::byte*> inputs;
  for (int member = 0; member < size(); ++member) inputs.push_back(calls_.payload(member).data());
  FinishSmallOp(op, self(), size(), inputs.data(), Scales(op));
}

// An average is a sum until its end, which comes once.
TcpStreams::Combining TcpBackend::CombiningOf(const Op& op) {
  TcpStreams::Combining combining{.unit = DtypeBytes(op.dtype)};
  if (op.reduction == Reduction::kNone) return combining;
  const bool average = op.reduction == Reduction::kAverage;
  combining.kernel = FindReduceKernel(op.dtype, average ? Reduction::kSum : op.reduction);
  if (average) combining.divide = FindDivideKernel(op.dtype);
  combining.scales = Scales(op);
  return combining;
}

// ----------------------------------------------------------------------------------------- failing

bool TcpBackend::CallsAgree(TcpWait& wait) {
  for (int member = 0; member < size(); ++member) {
    if (calls_.call(member).fingerprint == calls_.call(self()).fingerprint) continue;
    FailMismatch(wait);
    return false;
  }
  if (wait.op().kind == OpKind::kAllToAllV) return CountsAgree(wait);
  for (int member = 0; member < size(); ++member) {
    const size_t bytes = IsSmall(wait.op(), size()) && HasData(wait.op().kind)
                             ? InCount(wait.op(), member, size()) * DtypeBytes(wait.op().dtype)
                             : 0;
    if (calls_.payload(member).size() == bytes) continue;
    wait.FailProtocol(member, base::DataLossError("an input has the wrong size"));
    return false;
  }
  return true;
}

bool TcpBackend::CountsAgree(TcpWait& wait) {
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
  const TcpMembers& members = end_->members();
  for (int from = 0; from < size(); ++from) {
    for (int to = 0; to < size(); ++to) {
      const uint64_t sent = count_at(from, static_cast<size_t>(to));
      const uint64_t expected = count_at(to, n + static_cast<size_t>(from));
      if (sent == expected) continue;
      std::vector<ErrorRecord::Blamed> blamed{{from, calls_.call(from).call_site}};
      if (to != from) blamed.push_back({to, calls_.call(to).call_site});
      wait.FailAlike(wait.Describe() + ": " + members.Describe({from}) + " sends " +
                         std::to_string(sent) + " elements to " + members.Describe({to}) +
                         ", which expects " + std::to_string(expected),
                     std::move(blamed));
      return false;
    }
  }
  return true;
}

// Every member sees the same calls and comes to the same words.
void TcpBackend::FailMismatch(TcpWait& wait) {
  const TcpMembers& members = end_->members();
  std::map<uint64_t, std::vector<int>> by_fingerprint;
  for (int member = 0; member < size(); ++member)
    by_fingerprint[calls_.call(member).fingerprint].push_back(member);
  std::vector<std::vector<int>> sides;
  for (auto& [fingerprint, side] : by_fingerprint) sides.push_back(std::move(side));
  std::sort(sides.begin(), sides.end(), [](const auto& a, const auto& b) {
    return a.size() != b.size() ? a.size() > b.size() : a.front() < b.front();
  });
  const bool tie = sides.size() > 1 && sides[0].size() == sides[1].size();

  std::string message = "the members of group " + members.spec().name + " disagree on op " +
                        std::to_string(wait.seq()) + ": ";
  std::vector<ErrorRecord::Blamed> blamed;
  for (size_t i = 0; i < sides.size(); ++i) {
    const CallEntry& call = calls_.call(sides[i].front());
    message += (i == 0 ? "" : "; ") + members.Describe(sides[i]) + " called " +
               DescribeOp(static_cast<OpKind>(call.kind), static_cast<Dtype>(call.dtype),
                          static_cast<Reduction>(call.reduction), call.root, call.count) +
               " at " + call.call_site;
    if (i == 0 && !tie) continue;
    for (const int member : sides[i]) blamed.push_back({member, calls_.call(member).call_site});
  }
  if (tie) message += "; no side is a majority, so either may be wrong";
  wait.FailAlike(std::move(message), std::move(blamed));
}

base::Status TcpBackend::Fail(const base::Status& error, const std::vector<int>& blamed) {
  // What has ended here can end everywhere.
  const uint64_t from_seq = end_->completed_seq.load() + 1;
  if (!end_->SetError(RecordOf(error, blamed, from_seq))) return end_->FailedBefore();
  service_->TellError(end_);
  return end_->ErrorStatus();
}

void TcpBackend::Poison(const base::Status& reason) {
  const TcpMembers& members = end_->members();
  (void)Fail(base::AbortedError("group " + members.spec().name + " was aborted by " +
                                members.Describe({self()}) + ": " + reason.ToString())
                 .WithClass(reason.failure_class()),
             {});
}

void TcpBackend::Interrupt() {
  interrupted_.store(true, std::memory_order_relaxed);
  end_->Ring();
}

void TcpBackend::DeclareLongPhase(base::Duration at_most) {
  const base::SteadyTime until = base::RealClock().Now() + std::min(at_most, kMaxTimeout);
  end_->late_until_ns.store(at_most.count() > 0 ? until.time_since_epoch().count() : 0,
                            std::memory_order_release);
}

base::Result<std::shared_ptr<SharedBuffer>> TcpBackend::AllocBuffer(size_t bytes,
                                                                    const OpDeadline&) {
  return MakePrivateBuffer(bytes);
}

std::string TcpBackend::Explain(OpKind kind, Dtype dtype, size_t count) const {
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
  return text + ExplainPlan(kind, count * DtypeBytes(dtype), size()) +
         (transfer ? "" : "; calls are compared meanwhile, in " + exchange);
}

}  // namespace lockstep::collectives
