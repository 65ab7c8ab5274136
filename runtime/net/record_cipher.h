// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_RECORD_CIPHER_H_
#define LOCKSTEP_RUNTIME_NET_RECORD_CIPHER_H_

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "runtime/net/secret.h"

namespace lockstep::net {

/// AES-256-GCM over the records of one direction of one connection, in their order: each has the
/// number of its place as its nonce, so that one that was changed, left out, repeated or moved does
/// not open. After kRecordsPerKey of them both ends derive the next key from the old one, which is
/// then gone; no message says so.
///
/// One at each end of a direction: the one Seals, the other Opens. Confined to one thread at a
/// time.
class RecordCipher {
 public:
  enum class Role : uint8_t { kSeals, kOpens };

  static constexpr size_t kKeyBytes = 32;
  static constexpr size_t kTagBytes = 16;
  /// Of 64 KiB each this is 64 GiB, 2^32 blocks: far below where GCM's proofs end (2^48 blocks).
  static constexpr uint64_t kRecordsPerKey = uint64_t{1} << 20;

  /// `key`: kKeyBytes, used for nothing else. Aborts when OpenSSL has no AES-256-GCM.
  RecordCipher(Role role, Secret key, uint64_t records_per_key = kRecordsPerKey);
  ~RecordCipher();
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  /// The next record: `pieces`, encrypted, to `to`, and the tag behind them. `shown` is protected
  /// but not encrypted. `to` overlaps no piece.
  void Seal(std::span<const std::byte> shown, std::span<const iovec> pieces, std::byte* to);
  /// The next record's `sealed` bytes, decrypted, to `to`; `tag` has kTagBytes. False: it is not
  /// what the other end sealed as the next one. `to` is zeroed then, and nothing more can be
  /// opened.
  bool Open(std::span<const std::byte> shown, std::span<const std::byte> sealed,
            const std::byte* tag, std::byte* to);

 private:
  struct Context;  // OpenSSL's

  void Begin(std::span<const std::byte> shown);
  void SetKey();

  const Role role_;
  const uint64_t records_per_key_;
  Secret key_;
  std::unique_ptr<Context> context_;
  uint64_t number_ = 0;  // of the next record
};

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_RECORD_CIPHER_H_
