// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_LINE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_LINE_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "collectives/host/tcp/flow_io.h"
#include "collectives/host/tcp/sealed_stream.h"
#include "runtime/base/status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives {

/// One connection between two members that has been authenticated, and, in a job whose data is
/// encrypted, what its bytes are sealed with: the one place where the difference is known to those
/// who read and write frames. Owned by whoever reads and writes; confined to one thread at a time.
class TcpLine {
 public:
  TcpLine() = default;
  explicit TcpLine(base::UniqueFd fd, std::unique_ptr<SealedStream> seal = nullptr)
      : fd_(std::move(fd)), seal_(std::move(seal)) {}

  bool valid() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  /// As ReceiveSome and SendSome; what SealedStream::Send wants holds here.
  ssize_t Receive(std::byte* to, size_t bytes) {
    return seal_ == nullptr ? ReceiveSome(fd(), to, bytes) : seal_->Receive(fd(), to, bytes);
  }
  ssize_t Send(std::span<const iovec> pieces) {
    return seal_ == nullptr ? SendSome(fd(), pieces) : seal_->Send(fd(), pieces);
  }
  /// Not ok where kFlowClosed means that what came is not what was sent.
  base::Status fault() const { return seal_ == nullptr ? base::OkStatus() : seal_->fault(); }

 private:
  base::UniqueFd fd_;
  std::unique_ptr<SealedStream> seal_;  // null = plain
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_LINE_H_
