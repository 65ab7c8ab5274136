// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_PROBE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_PROBE_H_

/// How a member measures the way to another one when a group is made: over a connection of its own
/// (FlowPurpose::kMeasure), whose other end is answered by that process's TcpService, so that
/// nobody there has to wait for it. A question is a size in 8 bytes and as many bytes behind it;
/// the answer is the size again.
///
/// Functions without state: callable from any thread.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_link.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/clock.h"

namespace lockstep::collectives {

/// For all of a measurement; a way that takes longer stays unmeasured.
inline constexpr base::Duration kProbeTimeout = std::chrono::milliseconds(250);
/// Questions without data, of which the fastest counts: others hold what woke the other process up.
inline constexpr int kProbeRounds = 8;
/// With data, of which the fastest counts too: the first ones widen TCP's window.
inline constexpr int kProbeStreams = 4;

/// The way from the member of `end` to `member`. Blocks: at most kProbeTimeout. Never fails: what
/// cannot be measured is assumed.
TcpLink Probe(TcpService& service, const std::shared_ptr<TcpEnd>& end, int member);

/// The next member that shares no memory with this one; -1 if all do.
int MemberToProbe(const TcpMembers& members);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_PROBE_H_
