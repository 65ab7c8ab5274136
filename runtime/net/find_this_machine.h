// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_FIND_THIS_MACHINE_H_
#define LOCKSTEP_RUNTIME_NET_FIND_THIS_MACHINE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"

namespace lockstep::net {

/// Which of a list's hosts is this machine, the first of them: by its name, with or without its
/// domain, by an address of it, and where none of that helps by the name service. Callable from any
/// thread. Blocks: at most `at_most`, and not at all when a name or address decides. Names that the
/// name service has not answered for by then count as others; a thread that still waits for it is
/// left behind and touches nothing.
std::optional<size_t> FindThisMachine(const std::vector<std::string>& hosts,
                                      base::Duration at_most);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_FIND_THIS_MACHINE_H_
