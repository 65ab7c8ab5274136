// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_SIP_HASH_H_
#define LOCKSTEP_RUNTIME_BASE_SIP_HASH_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace lockstep::base {

using SipKey = std::array<unsigned char, 16>;

/// A hash that nobody can foresee who does not have the key, however many others he has seen: for
/// names, in place of a library that takes longer to load than the program to start. Not for
/// signatures: 64 bits. Pure, for any thread. Source: SipHash-2-4 (Aumasson, Bernstein: SipHash: a
/// fast short-input PRF, 2012).
uint64_t SipHash(const SipKey& key, std::string_view text);

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_SIP_HASH_H_
