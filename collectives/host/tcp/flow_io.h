// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_FLOW_IO_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_FLOW_IO_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>

namespace lockstep::collectives {

/// Bytes that passed; 0 = none now; kFlowClosed = the other end is gone. Never block. Without
/// state: callable from any thread.
inline constexpr ssize_t kFlowClosed = -1;
ssize_t ReceiveSome(int fd, std::byte* to, size_t bytes);
ssize_t SendSome(int fd, std::span<const iovec> pieces);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_FLOW_IO_H_
