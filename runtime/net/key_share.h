// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_KEY_SHARE_H_
#define LOCKSTEP_RUNTIME_NET_KEY_SHARE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/base/result.h"
#include "runtime/net/secret.h"

namespace lockstep::net {

/// One end's part of an X25519 exchange (RFC 7748), made for one connection: what is derived from
/// it cannot be found again once both ends have forgotten theirs. Whose share the other one is,
/// X25519 does not say: a handshake must. Moves, does not copy. Confined to one thread at a time.
class KeyShare {
 public:
  static constexpr size_t kBytes = 32;
  using Public = std::array<uint8_t, kBytes>;

  /// A fresh one. Aborts when OpenSSL has no X25519, or the system no random bytes.
  static KeyShare Make();
  KeyShare(KeyShare&&) noexcept;
  KeyShare& operator=(KeyShare&&) noexcept;
  ~KeyShare();

  /// What the other end is told.
  const Public& shown() const { return shown_; }
  /// What both ends know then. Errors: InvalidArgument - `other` is a point from which every secret
  /// would be the same.
  base::Result<Secret> Agree(const Public& other) const;

 private:
  struct Key;  // OpenSSL's

  KeyShare(std::unique_ptr<Key> key, const Public& shown);

  std::unique_ptr<Key> key_;
  Public shown_;
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_KEY_SHARE_H_
