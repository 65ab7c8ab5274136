// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/group.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

#include "collectives/agreement.h"
#include "collectives/engine/op.h"

namespace lockstep::collectives {
namespace {

using base::Status;

// Far above any memory, and low enough that no sum of parts overflows.
constexpr size_t kMaxCount = SIZE_MAX / 2 / 8 / 65536;

std::string Count(size_t count, Dtype dtype) {
  return std::to_string(count) + " " + std::string(DtypeName(dtype));
}

/// One side of a call, for messages: "all_reduce's input".
struct Side {
  OpKind kind;
  const char* name;
  std::string ToString() const { return std::string(OpKindName(kind)) + "'s " + name; }
};

Status CheckBuffer(const Side& side, const ConstBuffer& buffer, const Capabilities& capabilities) {
  const bool on_host = buffer.device.kind == Device::Kind::kCpu;
  if (on_host ? !capabilities.host_memory : !capabilities.cuda_memory) {
    return base::UnimplementedError("backend " + capabilities.backend + " takes buffers in " +
                                    (capabilities.host_memory ? "main memory" : "a GPU's memory") +
                                    "; " + side.ToString() + " is " +
                                    (on_host ? "in main memory" : "on a device"));
  }
  // CUDA would fail much later, or copy between the two without a word.
  if (!on_host && capabilities.cuda_device >= 0 &&
      buffer.device.index != capabilities.cuda_device) {
    return base::InvalidArgumentError(side.ToString() + " is on CUDA device " +
                                      std::to_string(buffer.device.index) +
                                      ", and this member of the group works on device " +
                                      std::to_string(capabilities.cuda_device));
  }
  if (DtypeBytes(buffer.dtype) == 0) {
    return base::InvalidArgumentError(side.ToString() + " is of dtype " +
                                      std::to_string(static_cast<int>(buffer.dtype)) +
                                      ", which there is none");
  }
  if (buffer.data == nullptr && buffer.count > 0) {
    return base::InvalidArgumentError(side.ToString() + " is null but has " +
                                      std::to_string(buffer.count) + " elements");
  }
  if (buffer.count > kMaxCount) {
    return base::InvalidArgumentError(side.ToString() + " of " + std::to_string(buffer.count) +
                                      " elements overflows");
  }
  return base::OkStatus();
}

bool Overlap(const ConstBuffer& a, const ConstBuffer& b) {
  const auto* const from = static_cast<const std::byte*>(a.data);
  const auto* const to = static_cast<const std::byte*>(b.data);
  return a.bytes() > 0 && b.bytes() > 0 && from < to + b.bytes() && to < from + a.bytes();
}

/// `in_place`: where the input may lie in the output or the output in the input, and does.
Status CheckOverlap(OpKind kind, const ConstBuffer& in, const ConstBuffer& out, bool in_place) {
  if (in_place || !Overlap(in, out)) return base::OkStatus();
  return base::InvalidArgumentError(std::string(OpKindName(kind)) +
                                    "'s input and output overlap in part; they must be apart, or "
                                    "placed as its in-place form says");
}

Status CheckAlignment(OpKind kind, const ConstBuffer& in, const ConstBuffer& out,
                      const Capabilities& capabilities) {
  const size_t width = DtypeBytes(in.dtype);
  const auto aligned = [width](const ConstBuffer& buffer) {
    return buffer.count == 0 || reinterpret_cast<uintptr_t>(buffer.data) % width == 0;
  };
  if (aligned(in) && aligned(out)) return base::OkStatus();
  return base::UnimplementedError("backend " + capabilities.backend + " has no " +
                                  std::string(OpKindName(kind)) + " of " +
                                  std::string(DtypeName(in.dtype)) +
                                  " at addresses that are no multiple of " + std::to_string(width));
}

Status CheckEqualDtypes(OpKind kind, const ConstBuffer& in, const ConstBuffer& out) {
  if (in.dtype == out.dtype) return base::OkStatus();
  return base::InvalidArgumentError(std::string(OpKindName(kind)) + " from " +
                                    std::string(DtypeName(in.dtype)) + " into " +
                                    std::string(DtypeName(out.dtype)) + ": they must be the same");
}

Status CheckCount(const Side& side, const ConstBuffer& buffer, size_t expected, const char* why) {
  if (buffer.count == expected) return base::OkStatus();
  return base::InvalidArgumentError(side.ToString() + " has " + Count(buffer.count, buffer.dtype) +
                                    " but must have " + std::to_string(expected) + ": " + why);
}

Status CheckCounts(OpKind kind, std::span<const size_t> counts, int size) {
  if (counts.size() != static_cast<size_t>(size)) {
    return base::InvalidArgumentError(std::string(OpKindName(kind)) + " got counts for " +
                                      std::to_string(counts.size()) + " members in a group of " +
                                      std::to_string(size));
  }
  for (const size_t count : counts) {
    if (count > kMaxCount)
      return base::InvalidArgumentError(std::string(OpKindName(kind)) + "'s count of " +
                                        std::to_string(count) + " elements overflows");
  }
  return base::OkStatus();
}

size_t Sum(std::span<const size_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), size_t{0});
}

/// Before `rank`.
size_t Offset(std::span<const size_t> counts, int rank) {
  return Sum(counts.first(std::min(counts.size(), static_cast<size_t>(rank))));
}

/// Of ops whose output differs from member to member.
Status CheckNoVerify(OpKind kind, const OpOptions& options) {
  if (!options.verify) return base::OkStatus();
  return base::InvalidArgumentError(
      std::string(OpKindName(kind)) +
      " has no output that is the same on all members; verify is of all_reduce, all_gather, "
      "all_gather_v and broadcast");
}

/// An op that has ended well, and what came of comparing its output.
class VerifiedWork final : public Work {
 public:
  VerifiedWork(std::shared_ptr<Work> work, Status verdict)
      : work_(std::move(work)), verdict_(std::move(verdict)) {}

  State state() const override { return verdict_.ok() ? work_->state() : State::kError; }
  base::OpSeq seq() const override { return work_->seq(); }
  Status status() const override { return verdict_; }
  Timings timings() const override { return work_->timings(); }
  Status Wait() override { return verdict_; }
  Status WaitFor(base::Duration) override { return verdict_; }
  void OnComplete(Callback callback) override { callback(verdict_); }

 private:
  const std::shared_ptr<Work> work_;
  const Status verdict_;
};

bool At(const ConstBuffer& part, const ConstBuffer& whole, size_t offset) {
  return whole.data != nullptr &&
         part.data == static_cast<const std::byte*>(whole.data) + offset * DtypeBytes(whole.dtype);
}

}  // namespace

Op Group::MakeOp(OpKind kind, Dtype dtype, const OpOptions& options) const {
  Op op;
  op.kind = kind;
  op.dtype = dtype;
  op.timeout = std::min(kMaxTimeout, options.timeout.count() > 0 ? options.timeout : timeout());
  op.scale = options.scale;
  op.call_file = options.call_site.file;
  op.call_line = options.call_site.line;
  op.tag = options.tag;
  op.stream = options.stream;
  return op;
}

std::shared_ptr<Work> Group::Call(Op&& op, Status valid, const OpOptions& options) {
  if (valid.ok()) valid = CheckNoVerify(op.kind, options);
  if (valid.ok()) valid = CheckStream(op.kind, options);
  return Submit(std::move(op), std::move(valid));
}

Status Group::CheckStream(OpKind kind, const OpOptions& options) const {
  const Capabilities& can = capabilities();
  if (options.stream == nullptr || can.cuda_memory) return base::OkStatus();
  return base::InvalidArgumentError("backend " + can.backend + " works in main memory, where " +
                                    std::string(OpKindName(kind)) +
                                    "'s stream of a GPU means nothing: leave OpOptions::stream "
                                    "null, and wait for the stream before the call");
}

// At once, and not when somebody waits: members may wait in different orders, and the comparison is
// a collective.
std::shared_ptr<Work> Group::CallAlike(Op&& op, Status valid, const Buffer& output,
                                       const OpOptions& options) {
  if (valid.ok()) valid = CheckStream(op.kind, options);
  if (!options.verify) return Submit(std::move(op), std::move(valid));
  if (valid.ok()) valid = CanCheckAgreement(*this, output);
  const std::string description = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count);
  std::shared_ptr<Work> work = Submit(std::move(op), std::move(valid));
  if (!work->Wait().ok()) return work;
  OpOptions of_check = options;
  of_check.verify = false;
  Status verdict = CheckAgreement(*this, output, std::move(of_check));
  if (!verdict.ok()) verdict = verdict.WithFrame("verifying " + description);
  return std::make_shared<VerifiedWork>(std::move(work), std::move(verdict));
}

Status Group::CheckRoot(OpKind kind, base::GroupRank root) const {
  if (root.value() >= 0 && root.value() < size()) return base::OkStatus();
  return base::InvalidArgumentError(std::string(OpKindName(kind)) +
                                    (kind == OpKind::kSend   ? " to rank "
                                     : kind == OpKind::kRecv ? " from rank "
                                                             : " with root ") +
                                    root.ToString() + " in a group of " + std::to_string(size()));
}

/// Everything but the shape.
Status Group::CheckSides(OpKind kind, const ConstBuffer& in, const ConstBuffer& out,
                         Reduction reduction, bool in_place) const {
  const Capabilities& can = capabilities();
  RETURN_IF_ERROR(CheckBuffer({kind, "input"}, in, can));
  RETURN_IF_ERROR(CheckBuffer({kind, "output"}, out, can));
  RETURN_IF_ERROR(CheckEqualDtypes(kind, in, out));
  RETURN_IF_ERROR(can.Check(kind, in.dtype, reduction));
  if (reduction != Reduction::kNone && !can.unaligned_reductions)
    RETURN_IF_ERROR(CheckAlignment(kind, in, out, can));
  return CheckOverlap(kind, in, out, in_place);
}

std::shared_ptr<Work> Group::AllReduce(ConstBuffer in, Buffer out, Reduction reduction,
                                       OpOptions options) {
  Op op = MakeOp(OpKind::kAllReduce, in.dtype, options);
  op.reduction = reduction;
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.count = in.count;
  Status valid = CheckSides(op.kind, in, out, reduction, in.data == out.data);
  if (valid.ok()) valid = CheckCount({op.kind, "output"}, out, in.count, "as many as the input");
  return CallAlike(std::move(op), std::move(valid), out, options);
}

std::shared_ptr<Work> Group::Reduce(ConstBuffer in, Buffer out, Reduction reduction,
                                    base::GroupRank root, OpOptions options) {
  Op op = MakeOp(OpKind::kReduce, in.dtype, options);
  op.reduction = reduction;
  op.peer = root.value();
  op.in = static_cast<const std::byte*>(in.data);
  op.count = in.count;
  Status valid = CheckRoot(op.kind, root);
  if (root == rank()) {
    op.out = static_cast<std::byte*>(out.data);
  } else {
    out = {nullptr, 0, in.dtype, in.device};
  }
  if (valid.ok()) valid = CheckSides(op.kind, in, out, reduction, in.data == out.data);
  if (valid.ok() && root == rank())
    valid = CheckCount({op.kind, "output"}, out, in.count, "as many as the input");
  return Call(std::move(op), std::move(valid), options);
}

std::shared_ptr<Work> Group::Broadcast(Buffer buffer, base::GroupRank root, OpOptions options) {
  Op op = MakeOp(OpKind::kBroadcast, buffer.dtype, options);
  op.peer = root.value();
  op.in = static_cast<const std::byte*>(buffer.data);
  op.out = static_cast<std::byte*>(buffer.data);
  op.count = buffer.count;
  Status valid = CheckBuffer({op.kind, "buffer"}, buffer, capabilities());
  if (valid.ok()) valid = CheckRoot(op.kind, root);
  if (valid.ok()) valid = capabilities().Check(op.kind, op.dtype, Reduction::kNone);
  return CallAlike(std::move(op), std::move(valid), buffer, options);
}

std::shared_ptr<Work> Group::AllGather(ConstBuffer in, Buffer out, OpOptions options) {
  Op op = MakeOp(OpKind::kAllGather, in.dtype, options);
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.count = in.count;
  Status valid = CheckBuffer({op.kind, "input"}, in, capabilities());  // before it is multiplied
  if (valid.ok())
    valid = CheckCount({op.kind, "output"}, out, in.count * static_cast<size_t>(size()),
                       "it must hold all members' inputs");
  if (valid.ok())
    valid = CheckSides(op.kind, in, out, Reduction::kNone,
                       At(in, out, in.count * static_cast<size_t>(rank().value())));
  return CallAlike(std::move(op), std::move(valid), out, options);
}

std::shared_ptr<Work> Group::AllGatherV(ConstBuffer in, Buffer out, std::span<const size_t> counts,
                                        OpOptions options) {
  Op op = MakeOp(OpKind::kAllGatherV, in.dtype, options);
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.counts.assign(counts.begin(), counts.end());
  const auto self = static_cast<size_t>(rank().value());
  Status valid = CheckCounts(op.kind, counts, size());
  if (valid.ok()) {
    op.count = Sum(counts);
    valid = CheckCount({op.kind, "input"}, in, counts[self], "this member's count");
  }
  if (valid.ok()) valid = CheckCount({op.kind, "output"}, out, op.count, "the sum of all counts");
  if (valid.ok())
    valid =
        CheckSides(op.kind, in, out, Reduction::kNone, At(in, out, Offset(counts, rank().value())));
  return CallAlike(std::move(op), std::move(valid), out, options);
}

std::shared_ptr<Work> Group::ReduceScatter(ConstBuffer in, Buffer out, Reduction reduction,
                                           OpOptions options) {
  Op op = MakeOp(OpKind::kReduceScatter, in.dtype, options);
  op.reduction = reduction;
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.count = out.count;
  Status valid = CheckBuffer({op.kind, "output"}, out, capabilities());
  if (valid.ok())
    valid = CheckCount({op.kind, "input"}, in, out.count * static_cast<size_t>(size()),
                       "as many as the outputs of all members");
  if (valid.ok())
    valid = CheckSides(op.kind, in, out, reduction,
                       At(out, in, out.count * static_cast<size_t>(rank().value())));
  return Call(std::move(op), std::move(valid), options);
}

std::shared_ptr<Work> Group::ReduceScatterV(ConstBuffer in, Buffer out,
                                            std::span<const size_t> counts, Reduction reduction,
                                            OpOptions options) {
  Op op = MakeOp(OpKind::kReduceScatterV, in.dtype, options);
  op.reduction = reduction;
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.counts.assign(counts.begin(), counts.end());
  const auto self = static_cast<size_t>(rank().value());
  Status valid = CheckCounts(op.kind, counts, size());
  if (valid.ok()) {
    op.count = Sum(counts);
    valid = CheckCount({op.kind, "output"}, out, counts[self], "this member's count");
  }
  if (valid.ok()) valid = CheckCount({op.kind, "input"}, in, op.count, "the sum of all counts");
  if (valid.ok())
    valid = CheckSides(op.kind, in, out, reduction, At(out, in, Offset(counts, rank().value())));
  return Call(std::move(op), std::move(valid), options);
}

std::shared_ptr<Work> Group::AllToAll(ConstBuffer in, Buffer out, OpOptions options) {
  Op op = MakeOp(OpKind::kAllToAll, in.dtype, options);
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  const auto n = static_cast<size_t>(size());
  op.count = in.count / n;
  Status valid = CheckSides(op.kind, in, out, Reduction::kNone, false);
  if (valid.ok() && in.count % n != 0) {
    valid = base::InvalidArgumentError("all_to_all's input has " + Count(in.count, in.dtype) +
                                       ", which a group of " + std::to_string(n) +
                                       " cannot divide; use all_to_all_v");
  }
  if (valid.ok()) valid = CheckCount({op.kind, "output"}, out, in.count, "as many as the input");
  return Call(std::move(op), std::move(valid), options);
}

std::shared_ptr<Work> Group::AllToAllV(ConstBuffer in, std::span<const size_t> in_counts,
                                       Buffer out, std::span<const size_t> out_counts,
                                       OpOptions options) {
  Op op = MakeOp(OpKind::kAllToAllV, in.dtype, options);
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.counts.assign(in_counts.begin(), in_counts.end());
  op.out_counts.assign(out_counts.begin(), out_counts.end());
  Status valid = CheckCounts(op.kind, in_counts, size());
  if (valid.ok()) valid = CheckCounts(op.kind, out_counts, size());
  if (valid.ok()) {
    op.count = Sum(in_counts);
    valid = CheckCount({op.kind, "input"}, in, op.count, "the sum of its counts");
  }
  if (valid.ok())
    valid = CheckCount({op.kind, "output"}, out, Sum(out_counts), "the sum of its counts");
  if (valid.ok()) valid = CheckSides(op.kind, in, out, Reduction::kNone, false);
  return Call(std::move(op), std::move(valid), options);
}

std::shared_ptr<Work> Group::Gather(ConstBuffer in, Buffer out, base::GroupRank root,
                                    OpOptions options) {
  Op op = MakeOp(OpKind::kGather, in.dtype, options);
  op.peer = root.value();
  op.in = static_cast<const std::byte*>(in.data);
  op.count = in.count;
  Status valid = CheckRoot(op.kind, root);
  if (valid.ok()) valid = CheckBuffer({op.kind, "input"}, in, capabilities());
  if (root == rank()) {
    op.out = static_cast<std::byte*>(out.data);
    if (valid.ok())
      valid = CheckCount({op.kind, "output"}, out, in.count * static_cast<size_t>(size()),
                         "it must hold all members' inputs");
  } else {
    out = {nullptr, 0, in.dtype, in.device};
  }
  if (valid.ok())
    valid = CheckSides(op.kind, in, out, Reduction::kNone,
                       At(in, out, in.count * static_cast<size_t>(rank().value())));
  return Call(std::move(op), std::move(valid), options);
}

std::shared_ptr<Work> Group::Scatter(ConstBuffer in, Buffer out, base::GroupRank root,
                                     OpOptions options) {
  Op op = MakeOp(OpKind::kScatter, out.dtype, options);
  op.peer = root.value();
  op.out = static_cast<std::byte*>(out.data);
  op.count = out.count;
  Status valid = CheckRoot(op.kind, root);
  if (valid.ok()) valid = CheckBuffer({op.kind, "output"}, out, capabilities());
  if (root == rank()) {
    op.in = static_cast<const std::byte*>(in.data);
    if (valid.ok())
      valid = CheckCount({op.kind, "input"}, in, out.count * static_cast<size_t>(size()),
                         "as many as the outputs of all members");
  } else {
    in = {nullptr, 0, out.dtype, out.device};
  }
  if (valid.ok())
    valid = CheckSides(op.kind, in, out, Reduction::kNone,
                       At(out, in, out.count * static_cast<size_t>(rank().value())));
  return Call(std::move(op), std::move(valid), options);
}

std::shared_ptr<Work> Group::Barrier(OpOptions options) {
  return Call(MakeOp(OpKind::kBarrier, Dtype::kU8, options),
              capabilities().Check(OpKind::kBarrier, Dtype::kU8, Reduction::kNone), options);
}

Op Group::MakeTransfer(const Transfer& transfer, const OpOptions& options, Status& valid) const {
  const OpKind kind = transfer.receives ? OpKind::kRecv : OpKind::kSend;
  const ConstBuffer buffer = transfer.receives ? ConstBuffer(transfer.in) : transfer.out;
  Op op = MakeOp(kind, buffer.dtype, options);
  op.peer = transfer.peer.value();
  op.in = static_cast<const std::byte*>(transfer.out.data);
  op.out = static_cast<std::byte*>(transfer.in.data);
  op.count = buffer.count;
  if (valid.ok()) valid = CheckRoot(kind, transfer.peer);
  if (valid.ok()) valid = CheckBuffer({kind, "buffer"}, buffer, capabilities());
  if (valid.ok()) valid = capabilities().Check(kind, buffer.dtype, Reduction::kNone);
  return op;
}

std::shared_ptr<Work> Group::Send(ConstBuffer buffer, base::GroupRank to, OpOptions options) {
  const Transfer transfer = Transfer::Send(buffer, to);
  return Batch({&transfer, 1}, std::move(options));
}

std::shared_ptr<Work> Group::Recv(Buffer buffer, base::GroupRank from, OpOptions options) {
  const Transfer transfer = Transfer::Recv(buffer, from);
  return Batch({&transfer, 1}, std::move(options));
}

std::shared_ptr<Work> Group::Batch(std::span<const Transfer> transfers, OpOptions options) {
  std::vector<Op> ops;
  ops.reserve(transfers.size());
  Status valid;
  for (const Transfer& transfer : transfers) ops.push_back(MakeTransfer(transfer, options, valid));
  if (valid.ok()) valid = CheckNoVerify(OpKind::kBatch, options);
  if (valid.ok()) valid = CheckStream(OpKind::kBatch, options);
  return SubmitTransfers(std::move(ops), MakeOp(OpKind::kBatch, Dtype::kU8, options),
                         std::move(valid));
}

Status Group::CheckRegistered(const Buffer& buffer) const {
  if (buffer.data == nullptr || buffer.bytes() == 0)
    return base::InvalidArgumentError("registering a buffer of " +
                                      Count(buffer.count, buffer.dtype) +
                                      (buffer.data == nullptr ? " at null" : ""));
  return CheckBuffer({OpKind::kAllocate, "buffer"}, buffer, capabilities());
}

base::Result<std::unique_ptr<Registration>> Group::RegisterBuffer(Buffer buffer) {
  RETURN_IF_ERROR(CheckRegistered(buffer));
  return base::UnimplementedError(
      "backend " + capabilities().backend +
      " registers no memory of the caller: use what AllocBuffer gives, where "
      "it has that");
}

}  // namespace lockstep::collectives
