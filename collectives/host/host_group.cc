// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/host_group.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

namespace lockstep::collectives {
namespace {

// What names a group on all of its members.
base::GroupId HashGroupId(const HostGroup::Config& config) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a: the value is only compared and shown
  const auto add = [&hash](uint64_t byte) { hash = (hash ^ (byte & 0xff)) * 0x100000001b3u; };
  const auto add_word = [&add](uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) add(word >> shift);
  };
  for (const std::string* text : {&config.job, &config.name}) {
    for (const char c : *text) add(static_cast<unsigned char>(c));
    add(0);
  }
  add_word(config.instance);
  for (const base::Rank rank : config.world_ranks) add_word(static_cast<uint32_t>(rank.value()));
  return base::GroupId(hash);
}

GroupInfo MakeInfo(const HostGroup::Config& config) {
  return {.name = config.name,
          .instance = config.instance,
          .id = HashGroupId(config),
          .epoch = config.epoch,
          .rank = config.rank,
          .size = static_cast<int>(config.world_ranks.size()),
          .world_ranks = config.world_ranks,
          .backend = "host",
          .compares_calls = true,
          .bitwise_reproducible = true};
}

base::Status CheckBuffer(const char* what, const void* data, size_t count, Device device) {
  if (device.kind != Device::Kind::kCpu) {
    return base::UnimplementedError(std::string("the host backend takes buffers in main memory; ") +
                                    what + " is on a device");
  }
  if (data == nullptr && count > 0) {
    return base::InvalidArgumentError(std::string(what) + " is null but has " +
                                      std::to_string(count) + " elements");
  }
  if (count > SIZE_MAX / 2 / 8 / kMaxHostMembers) {
    return base::InvalidArgumentError(std::string(what) + " of " + std::to_string(count) +
                                      " elements overflows");
  }
  return base::OkStatus();
}

bool Overlap(const std::byte* a, size_t a_bytes, const std::byte* b, size_t b_bytes) {
  return a_bytes > 0 && b_bytes > 0 && a < b + b_bytes && b < a + a_bytes;
}

base::Status CheckAllReduce(const ConstBuffer& in, const Buffer& out, Reduction reduction) {
  RETURN_IF_ERROR(CheckBuffer("all_reduce's input", in.data, in.count, in.device));
  RETURN_IF_ERROR(CheckBuffer("all_reduce's output", out.data, out.count, out.device));
  if (in.dtype != out.dtype || in.count != out.count) {
    return base::InvalidArgumentError(
        "all_reduce from " + std::to_string(in.count) + " " + std::string(DtypeName(in.dtype)) +
        " to " + std::to_string(out.count) + " " + std::string(DtypeName(out.dtype)) +
        ": both must be the same");
  }
  if (FindReduceKernel(in.dtype, reduction) == nullptr) {
    return base::UnimplementedError("backend host has no all_reduce of " +
                                    std::string(DtypeName(in.dtype)) + " with " +
                                    std::string(ReductionName(reduction)));
  }
  if (in.data != out.data && Overlap(static_cast<const std::byte*>(in.data), in.bytes(),
                                     static_cast<const std::byte*>(out.data), out.bytes())) {
    return base::InvalidArgumentError(
        "all_reduce's input and output overlap in part; they must be the same or apart");
  }
  return base::OkStatus();
}

base::Status CheckAllGather(const ConstBuffer& in, const Buffer& out, const GroupInfo& info) {
  RETURN_IF_ERROR(CheckBuffer("all_gather's input", in.data, in.count, in.device));
  RETURN_IF_ERROR(CheckBuffer("all_gather's output", out.data, out.count, out.device));
  const size_t size = static_cast<size_t>(info.size);
  if (in.dtype != out.dtype || out.count != size * in.count) {
    return base::InvalidArgumentError(
        "all_gather of " + std::to_string(in.count) + " " + std::string(DtypeName(in.dtype)) +
        " from each of " + std::to_string(size) + " ranks into " + std::to_string(out.count) + " " +
        std::string(DtypeName(out.dtype)) + ": the output must hold all of them");
  }
  const auto* const from = static_cast<const std::byte*>(in.data);
  const auto* const to = static_cast<const std::byte*>(out.data);
  const bool in_place =
      to != nullptr && from == to + static_cast<size_t>(info.rank.value()) * in.bytes();
  if (!in_place && Overlap(from, in.bytes(), to, out.bytes())) {
    return base::InvalidArgumentError(
        "all_gather's input lies in its output, but not at this rank's place");
  }
  return base::OkStatus();
}

}  // namespace

base::Result<std::unique_ptr<HostGroup>> HostGroup::Create(Config config, SegmentSource& segments) {
  const int size = static_cast<int>(config.world_ranks.size());
  if (size < 1 || size > kMaxHostMembers || config.rank.value() < 0 ||
      config.rank.value() >= size) {
    return base::InvalidArgumentError("making group " + config.name + ": rank " +
                                      config.rank.ToString() + " of " + std::to_string(size) +
                                      " members; a host group has 1 to " +
                                      std::to_string(kMaxHostMembers));
  }
  if (size == 1) return std::unique_ptr<HostGroup>(new HostGroup(std::move(config), nullptr));
  const base::RealClock clock;
  AwakeClock awake(clock);
  OpDeadline deadline(awake);
  const base::Duration timeout = std::min(config.join_timeout, kMaxTimeout);
  deadline.Set({.at = awake.Now() + timeout, .timeout = timeout});
  ASSIGN_OR_RETURN(auto channel, HostChannel::Join({.job = config.job,
                                                    .host = config.host,
                                                    .group_name = config.name,
                                                    .group = HashGroupId(config),
                                                    .epoch = config.epoch,
                                                    .incarnation = config.incarnation,
                                                    .member = config.rank.value(),
                                                    .world_ranks = config.world_ranks},
                                                   segments, deadline));
  return std::unique_ptr<HostGroup>(new HostGroup(std::move(config), std::move(channel)));
}

HostGroup::HostGroup(Config config, std::unique_ptr<HostChannel> channel)
    : config_(std::move(config)),
      info_(MakeInfo(config_)),
      timeout_ns_(config_.timeout.count()),
      channel_(std::move(channel)) {
  lockstep_fork_guard_init(&guard_);
  queue_ = std::make_shared<OpQueue>(
      [this](QueuedWork& work, const OpDeadline& deadline) { return Execute(work, deadline); },
      [this](QueuedWork& work, const base::Status& status, base::SteadyTime now) {
        if (config_.recorder == nullptr) return;
        config_.recorder->Ended(work.record, RecordStateOf(StateOf(status)),
                                status.ok() ? work.op().bytes() : 0, now);
      },
      channel_ == nullptr);
}

HostGroup::~HostGroup() {
  if (!owner()) {
    // A forked child: the parent's group, threads and locks are not ours to end. What is private to
    // us leaks, by intent.
    (void)channel_.release();
    (void)new std::shared_ptr<OpQueue>(std::move(queue_));
    return;
  }
  if (channel_ != nullptr) channel_->Interrupt();
  queue_->Close(base::AbortedError("group " + info_.name +
                                   " was destroyed on this rank before the op ended"));
  lockstep_fork_guard_free(&guard_);
}

Op HostGroup::MakeOp(OpKind kind, const OpOptions& options) const {
  Op op;
  op.kind = kind;
  op.timeout =
      std::min(kMaxTimeout, options.timeout.count() > 0
                                ? options.timeout
                                : base::Duration(timeout_ns_.load(std::memory_order_relaxed)));
  op.call_file = options.call_site.file_name();
  op.call_line = options.call_site.line();
  op.tag = options.tag;
  return op;
}

bool HostGroup::CanReduce(Dtype dtype, Reduction reduction) const {
  return FindReduceKernel(dtype, reduction) != nullptr;
}

std::shared_ptr<Work> HostGroup::AllReduce(ConstBuffer in, Buffer out, Reduction reduction,
                                           OpOptions options) {
  Op op = MakeOp(OpKind::kAllReduce, options);
  op.dtype = in.dtype;
  op.reduction = reduction;
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.count = in.count;
  return Submit(std::move(op), CheckAllReduce(in, out, reduction));
}

std::shared_ptr<Work> HostGroup::Broadcast(Buffer buffer, base::GroupRank root, OpOptions options) {
  Op op = MakeOp(OpKind::kBroadcast, options);
  op.dtype = buffer.dtype;
  op.root = root.value();
  op.in = static_cast<const std::byte*>(buffer.data);
  op.out = static_cast<std::byte*>(buffer.data);
  op.count = buffer.count;
  base::Status valid = CheckBuffer("broadcast's buffer", buffer.data, buffer.count, buffer.device);
  if (valid.ok() && (root.value() < 0 || root.value() >= info_.size)) {
    valid = base::InvalidArgumentError("broadcast from rank " + root.ToString() +
                                       " in a group of " + std::to_string(info_.size));
  }
  return Submit(std::move(op), std::move(valid));
}

std::shared_ptr<Work> HostGroup::AllGather(ConstBuffer in, Buffer out, OpOptions options) {
  Op op = MakeOp(OpKind::kAllGather, options);
  op.dtype = in.dtype;
  op.in = static_cast<const std::byte*>(in.data);
  op.out = static_cast<std::byte*>(out.data);
  op.count = in.count;
  return Submit(std::move(op), CheckAllGather(in, out, info_));
}

std::shared_ptr<Work> HostGroup::Barrier(OpOptions options) {
  return Submit(MakeOp(OpKind::kBarrier, options), base::OkStatus());
}

std::shared_ptr<Work> HostGroup::Submit(Op op, base::Status valid) {
  if (!owner()) {
    // The parent's queue may be locked for ever in this copy of its memory: a queue of its own
    // carries the answer.
    const auto fresh = std::make_shared<OpQueue>(nullptr, nullptr, true);
    return fresh->Refuse(
        std::move(op),
        base::FailedPreconditionError(
            "a collective of group " + info_.name + " was called in a forked child of rank " +
            info_.world_ranks[static_cast<size_t>(info_.rank.value())].ToString() +
            "; only the rank itself may call it"));
  }
  op.refusal = std::move(valid);
  std::shared_ptr<QueuedWork> work = queue_->MakeWork(std::move(op));
  if (config_.recorder != nullptr) {
    const Op& made = work->op();
    work->record = config_.recorder->Begin(
        {.group = info_.id,
         .epoch = info_.epoch,
         .seq = work->seq(),
         .op = static_cast<uint8_t>(made.kind),
         .dtype = static_cast<uint8_t>(made.dtype),
         .reduction = static_cast<uint8_t>(made.reduction),
         .root_or_peer = made.root,
         .group_size = static_cast<uint32_t>(info_.size),
         .count_in = made.count,
         .count_out = made.kind == OpKind::kAllGather ? made.count * static_cast<size_t>(info_.size)
                                                      : made.count,
         .fingerprint = FingerprintOf(made, info_.id, info_.epoch, work->seq()),
         .enqueued = work->enqueued(),
         .timeout = made.timeout,
         .call_file = made.call_file,
         .call_line = made.call_line,
         .tag = made.tag.c_str()});
  }
  queue_->Enqueue(work);
  return work;
}

base::Status HostGroup::Execute(QueuedWork& work, const OpDeadline& deadline) {
  Recorder* const recorder = config_.recorder;
  if (recorder != nullptr) recorder->Started(work.record, work.started());
  if (channel_ == nullptr) return ExecuteAlone(work.op());
  OpWatch watch{.deadline = deadline};
  if (recorder != nullptr) {
    watch.on_long_wait = [this, recorder, ticket = work.record](int member) {
      recorder->WaitsFor(ticket, info_.world_ranks[static_cast<size_t>(member)]);
    };
  }
  return channel_->Run(work.op(), work.seq(), watch);
}

// As with other members: the first error is the last word.
base::Status HostGroup::ExecuteAlone(const Op& op) {
  const std::lock_guard<std::mutex> lock(alone_mutex_);
  if (!alone_error_.ok()) {
    return base::AbortedError("group " + info_.name +
                              " failed before this call and cannot be used any more")
        .WithCause(alone_error_);
  }
  if (op.refusal.ok()) {
    CopyAlone(op);
  } else {
    alone_error_ = op.refusal;
  }
  return op.refusal;
}

void HostGroup::CopyAlone(const Op& op) const {
  if (op.bytes() == 0 || op.kind == OpKind::kBroadcast) return;
  if (op.kind == OpKind::kAllReduce) {
    FindReduceKernel(op.dtype, op.reduction)(op.out, &op.in, 1, op.count);
  } else if (op.in != op.out) {
    std::memcpy(op.out, op.in, op.bytes());
  }
}

void HostGroup::Abort(base::Status reason) {
  if (!owner()) return;
  if (channel_ != nullptr) return channel_->Poison(reason);
  const std::lock_guard<std::mutex> lock(alone_mutex_);
  if (alone_error_.ok())
    alone_error_ = base::AbortedError("group " + info_.name + " was aborted: " + reason.ToString());
}

}  // namespace lockstep::collectives
