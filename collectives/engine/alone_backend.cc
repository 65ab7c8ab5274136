// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/alone_backend.h"

#include <cstring>
#include <thread>

#include "collectives/engine/host_capabilities.h"
#include "collectives/engine/private_buffer.h"
#include "collectives/engine/reduce_kernels.h"

namespace lockstep::collectives {
AloneBackend::AloneBackend(std::string group_name)
    : group_name_(std::move(group_name)), capabilities_(HostCapabilities("alone")) {}

base::Status AloneBackend::Aborted() const {
  return base::AbortedError("group " + group_name_ +
                            " failed before this call and cannot be used any more")
      .WithCause(error_);
}

base::Status AloneBackend::Run(const Op& op, base::OpSeq, const OpWatch&) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_.ok()) return Aborted();
    if (!op.refusal.ok()) return error_ = op.refusal;
  }
  const size_t bytes = OutCount(op, 0, 1) * DtypeBytes(op.dtype);
  if (bytes == 0) return base::OkStatus();
  if (op.reduction != Reduction::kNone) {
    FindReduceKernel(op.dtype, op.reduction)(op.out, &op.in, &op.scale, 1, OutCount(op, 0, 1));
  } else if (op.in != op.out) {
    std::memcpy(op.out, op.in, bytes);
  }
  return base::OkStatus();
}

bool AloneBackend::Advance(Moving& moving) {
  const Op& op = moving.op;
  if (op.kind == OpKind::kSend) {
    const std::byte* const from = op.in;
    sent_.emplace_back(op.dtype, std::vector<std::byte>(from, from + op.bytes()));
    return true;
  }
  if (sent_.empty()) return false;
  const auto [dtype, data] = std::move(sent_.front());
  sent_.pop_front();
  if (dtype != op.dtype || data.size() != op.bytes()) {
    moving.result =
        Fail(base::FailedPreconditionError("a receive of " + std::to_string(op.count) + " " +
                                           std::string(DtypeName(op.dtype)) + " met a send of " +
                                           std::to_string(data.size() / DtypeBytes(dtype)) + " " +
                                           std::string(DtypeName(dtype)))
                 .WithClass(base::FailureClass::kUsage),
             {0});
    return true;
  }
  if (!data.empty()) std::memcpy(op.out, data.data(), data.size());
  return true;
}

// Only this member could send what it waits for.
void AloneBackend::AwaitTransfers(base::Duration at_most) { std::this_thread::sleep_for(at_most); }

base::Status AloneBackend::Fail(const base::Status& error, const std::vector<int>&) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!error_.ok()) return Aborted();
  return error_ = error;
}

void AloneBackend::Poison(const base::Status& reason) {
  (void)Fail(base::AbortedError("group " + group_name_ + " was aborted: " + reason.ToString()), {});
}

base::Result<std::shared_ptr<SharedBuffer>> AloneBackend::AllocBuffer(size_t bytes,
                                                                      const OpDeadline&) {
  return MakePrivateBuffer(bytes);
}

std::string AloneBackend::Explain(OpKind kind, Dtype dtype, size_t count) const {
  return DescribeOp(kind, dtype, Reduction::kNone, -1, count) + ": a copy, in a group of one";
}

}  // namespace lockstep::collectives
