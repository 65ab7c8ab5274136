// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_ELECTION_H_
#define LOCKSTEP_LAUNCHER_EXEC_ELECTION_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/sip_hash.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proto/adoption.pb.h"

/// How processes that know nothing of each other but their job's key come to one agent on their
/// host. Whoever can listen under the job's address is elected, and makes the agent a daemon with
/// that socket; the others are in its queue from then on, before the agent has run an instruction.
/// The address is a name in the kernel's abstract namespace: it is one process's alone, and is free
/// again when that one has ended, however, so no lock and no file of a dead agent can be in the
/// way.
namespace lockstep::launcher {

/// Of what a rank and the agent say to each other (adoption.proto).
inline constexpr uint32_t kAdoptionVersion = 1;

/// Who on this host is to be the agent of one job's ranks, as each of them sees it.
struct Election {
  std::string address;  // ElectionAddress()
  /// What the elected one's daemon does with the socket on which ranks wait; its exit status.
  std::function<int(base::UniqueFd listener)> agent;
  base::Duration time_limit = std::chrono::seconds(10);
};

/// Of a user's job on this host (in this network namespace). `secret`: ElectionSecret(); without it
/// another user would know the name before the job has begun, and could hold it.
std::string ElectionAddress(uid_t uid, const base::SipKey& secret, std::string_view job_key);

/// Asks the agent at the election's address to adopt this process, and starts that agent when there
/// is none. An agent that ends without an answer (killed, or done with another job) is asked no
/// more: there is a new election, a few times. Call it from a process with one thread.
/// Blocks: up to the election's time limit. Errors: what the agent refuses the rank for;
/// DeadlineExceeded - an agent listens and does not answer: it is stopped or stuck;
/// AlreadyExists - another user has the address; Unavailable - agents ended one after the other;
/// ResourceExhausted - process or descriptor limit.
base::Result<proto::Adopted> MeetAgent(const Election& election, const proto::AdoptRequest& request,
                                       const base::Clock& clock);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_ELECTION_H_
