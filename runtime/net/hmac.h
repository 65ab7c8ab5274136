// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_HMAC_H_
#define LOCKSTEP_RUNTIME_NET_HMAC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

/// Keyed hashes and random bytes, for handshakes that prove a secret without showing it.
/// Functions without state: callable from any thread.
namespace lockstep::net {

inline constexpr size_t kHmacBytes = 32;
using Hmac = std::array<uint8_t, kHmacBytes>;

/// HMAC-SHA256 (RFC 2104) of `parts`, each preceded by its length (4 bytes, little endian), so that
/// no two lists of parts are the same text. Aborts when OpenSSL has no SHA-256.
Hmac HmacSha256(std::string_view key, std::span<const std::string_view> parts);

/// Takes the same time wherever they differ, if their sizes are equal.
bool EqualInConstantTime(std::span<const uint8_t> a, std::span<const uint8_t> b);

/// Of the system's generator, fit for keys and challenges. Aborts when it has none.
void FillRandom(std::span<uint8_t> bytes);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_HMAC_H_
