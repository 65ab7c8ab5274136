// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_EXEC_ELECTION_SECRET_H_
#define LOCKSTEP_LAUNCHER_EXEC_ELECTION_SECRET_H_

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/sip_hash.h"

namespace lockstep::launcher {

/// What a user's election addresses on this host are made with, so that no other user can foresee
/// one and take it first: a file of random bytes in `folder`, which is the user's alone
/// (net::SocketDirectory). The first that asks makes it, whole and once, whoever else asks at the
/// same time; one that is damaged is made anew. Any thread; blocks for a few file calls.
/// Errors: Unavailable - the kernel has no random numbers yet; else errno's code.
base::Result<base::SipKey> ElectionSecret(const std::string& folder);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_EXEC_ELECTION_SECRET_H_
