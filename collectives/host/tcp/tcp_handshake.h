// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_HANDSHAKE_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_HANDSHAKE_H_

/// How two ends of a connection prove to each other that they are of one job, before a frame is
/// parsed:
///
///   connecting end                         listening end
///     Hello (64 bytes)     ------------->    which group, epoch, members, what for; a challenge
///                          <-------------    Answer (80 bytes): how it stands there; a challenge;
///                                            HMAC over Hello and Answer
///     Proof (32 bytes)     ------------->    HMAC over Hello and Answer, of the other role
///     frames ...           ------------->
///
/// In a job whose data is encrypted (Hello::sealed) the challenges are fresh X25519 shares, which
/// both HMACs then vouch for, and everything behind the Proof is sealed (sealed_stream.h) with keys
/// that HKDF derives from what the shares agree on and an HMAC of the job's key over all of this.
/// So who has recorded a connection cannot read it when it gets the job's key later.
///
/// Both HMACs (SHA-256, with the job's key) cover the job, both messages (group, epoch, both
/// members, purpose, both challenges), the role, and the nonce of the listening process. So a
/// recorded message proves nothing to a fresh challenge; an answer sent back is of the wrong role;
/// and a process that took over a dead member's port is not taken for that member.
///
/// Functions without state: callable from any thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "collectives/host/tcp/address_exchange.h"
#include "collectives/host/tcp/sealed_stream.h"
#include "runtime/base/result.h"
#include "runtime/net/hmac.h"
#include "runtime/net/key_share.h"

namespace lockstep::collectives {

/// What a connection is for. Calls and data go both ways over one that the lower member of the pair
/// makes; transfers go one way, from the end that made it.
enum class FlowPurpose : uint8_t {
  kCalls = 1,      // the exchange of calls
  kData = 2,       // data of collectives
  kTransfers = 3,  // sends
  kControl = 4,    // errors and questions, answered on the same connection
  kMeasure = 5,    // what the way between the two costs (tcp_probe.h)
};
inline constexpr uint8_t kFlowPurposeLimit = 6;

struct Hello {
  char magic[8] = {'L', 'K', 'S', 'T', 'P', 'T', 'C', 'P'};
  uint8_t version = 2;
  uint8_t sealed = 0;  // 1 = what follows the handshake is encrypted
  FlowPurpose purpose = FlowPurpose::kCalls;
  uint8_t line = 0;  // of the connections over which a pair divides its data
  int32_t from = 0;  // members
  int32_t to = 0;
  uint32_t epoch = 0;
  uint64_t group = 0;
  std::array<uint8_t, 32> challenge{};
};
static_assert(sizeof(Hello) == 64);

struct Answer {
  enum class Verdict : uint32_t {
    kWelcome = 1,
    kLeft = 2,     // the member has left the group, after completed_seq ops
    kUnknown = 3,  // no such group, epoch or member there
  };
  Verdict verdict = Verdict::kUnknown;
  uint32_t failed = 0;  // kLeft: 1 = with an error, which is on its way
  uint64_t completed_seq = 0;
  std::array<uint8_t, 32> challenge{};
  net::Hmac proof{};
};
static_assert(sizeof(Answer) == 80);

/// What both ends know before they meet.
struct HandshakeKey {
  std::string_view key;  // the job's, 32 bytes
  std::string_view job;
  const AddressCard& listener;
};

/// Errors: DataLoss - `bytes` (64) are no Hello of this release.
base::Result<Hello> ParseHello(std::span<const std::byte> bytes);
/// Errors: DataLoss - `bytes` (80) are no Answer; Unauthenticated - who sent it does not have the
/// key, or is not the process that the card is of.
base::Result<Answer> ParseAnswer(std::span<const std::byte> bytes, const HandshakeKey& key,
                                 const Hello& hello);

/// Fills in `proof`.
void Sign(Answer& answer, const HandshakeKey& key, const Hello& hello);
/// What the connecting end sends, and the listening end compares.
net::Hmac ProofOf(const HandshakeKey& key, const Hello& hello, const Answer& answer);

/// Of a sealed flow, once the other end has been proven: its keys as the end sees them that made
/// `mine`, whose other one is `answer`'s challenge where that end connects and `hello`'s where it
/// listens. Errors: InvalidArgument - the other end's share is none.
enum class HandshakeRole : uint8_t { kConnects, kListens };
base::Result<SealKeys> SealKeysOf(HandshakeRole role, const net::KeyShare& mine,
                                  const HandshakeKey& key, const Hello& hello,
                                  const Answer& answer);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_HANDSHAKE_H_
