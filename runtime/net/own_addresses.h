// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_OWN_ADDRESSES_H_
#define LOCKSTEP_RUNTIME_NET_OWN_ADDRESSES_H_

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

/// By what addresses this machine is reached. Functions without state: callable from any thread.
namespace lockstep::net {

/// Addresses of interfaces that are up, as text: neither loopback nor link-local ones; v4 first, in
/// the kernel's order. Errors: errno's code.
base::Result<std::vector<std::string>> OwnAddresses();

/// Whether `host` (name or address) is this machine: its name, a loopback name or address, or one
/// that belongs to an interface of it. Blocks: as long as the name service does, for other names.
/// Errors: as LookUpAddresses.
base::Result<bool> IsThisMachine(std::string_view host);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_OWN_ADDRESSES_H_
