// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_HKDF_H_
#define LOCKSTEP_RUNTIME_NET_HKDF_H_

#include <cstddef>
#include <string_view>

#include "runtime/net/secret.h"

namespace lockstep::net {

/// HKDF-SHA256 (RFC 5869) of `secret`, with `label` as its info: `bytes` of key, 1 to 8160. No
/// argument may be empty. Aborts when OpenSSL has no HKDF. Without state: callable from any thread.
Secret HkdfSha256(std::string_view secret, std::string_view salt, std::string_view label,
                  size_t bytes);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_HKDF_H_
