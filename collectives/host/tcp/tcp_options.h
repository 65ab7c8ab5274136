// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_OPTIONS_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_OPTIONS_H_

namespace lockstep::collectives {

/// Sets what an authenticated connection between members wants of the kernel. `fd`: connected. What
/// the kernel refuses is left as it is. Without state: callable from any thread.
void MakeReadyForData(int fd);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_OPTIONS_H_
