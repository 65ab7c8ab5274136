// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_MEETING_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_MEETING_H_

#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/op_deadline.h"
#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// How the members of `spec` are reached, by member; `service` then expects them, as after
/// TcpService::Reserve, until Unregister. From any thread. Blocks: until all have come, at most
/// `deadline`. Errors: InvalidArgument - more than kMaxTcpMembers members; AlreadyExists - another
/// thread or process holds this member's place; DeadlineExceeded - names the members that never
/// came; FailedPrecondition - some members encrypt and others do not; those of
/// AddressExchange::Exchange.
base::Result<std::vector<AddressCard>> MeetOverTcp(TcpService& service, AddressExchange& exchange,
                                                   const GroupSpec& spec,
                                                   const OpDeadline& deadline);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_MEETING_H_
