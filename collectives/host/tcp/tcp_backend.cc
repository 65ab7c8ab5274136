// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_backend.h"

#include <utility>

#include "collectives/engine/host_capabilities.h"
#include "collectives/engine/private_buffer.h"

namespace lockstep::collectives {

TcpBackend::TcpBackend(const std::shared_ptr<TcpService>& service,
                       const std::shared_ptr<TcpEnd>& end, std::string why)
    : TcpSeatedBackend(MessageCapabilities("tcp"), service, end, TcpSeat::Judging::kWaitedFor),
      why_(std::move(why)),
      ops_(seat_) {}

TcpBackend::~TcpBackend() { seat_.Leave(); }

base::Status TcpBackend::Run(const Op& op, base::OpSeq seq, const OpWatch& watch) {
  return seat_.Run(op, seq, watch, [&](TcpWait& wait) { return ops_.Run(op, wait); });
}

base::Result<std::shared_ptr<SharedBuffer>> TcpBackend::AllocBuffer(size_t bytes,
                                                                    const OpDeadline&) {
  return MakePrivateBuffer(bytes);
}

std::string TcpBackend::Explain(OpKind kind, Dtype dtype, size_t count) const {
  const bool is_transfer = kind == OpKind::kSend || kind == OpKind::kRecv;
  return ops_.Explain(kind, dtype, count) + (is_transfer ? "" : why_);
}

}  // namespace lockstep::collectives
