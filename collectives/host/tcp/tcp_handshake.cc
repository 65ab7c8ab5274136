// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_handshake.h"

#include <cstring>
#include <utility>

#include "runtime/net/hkdf.h"

namespace lockstep::collectives {
namespace {

net::Hmac Prove(std::string_view role, const HandshakeKey& key, const Hello& hello,
                const Answer& answer) {
  const auto* const nonce = reinterpret_cast<const char*>(key.listener.nonce.data());
  const std::string_view parts[] = {
      role,
      key.job,
      {reinterpret_cast<const char*>(&hello), sizeof hello},
      {reinterpret_cast<const char*>(&answer), offsetof(Answer, proof)},
      {nonce, key.listener.nonce.size()},
  };
  return net::HmacSha256(key.key, parts);
}

}  // namespace

base::Result<Hello> ParseHello(std::span<const std::byte> bytes) {
  Hello hello;
  const Hello wanted;
  if (bytes.size() != sizeof hello) return base::DataLossError("a hello has 64 bytes");
  std::memcpy(&hello, bytes.data(), sizeof hello);
  if (std::memcmp(hello.magic, wanted.magic, sizeof hello.magic) != 0 ||
      hello.version != wanted.version || static_cast<uint8_t>(hello.purpose) == 0 ||
      static_cast<uint8_t>(hello.purpose) >= kFlowPurposeLimit || hello.sealed > 1 ||
      hello.line >= kTcpFlowsMax || hello.from < 0 || hello.to < 0 || hello.from == hello.to) {
    return base::DataLossError("what came is no hello of this release");
  }
  return hello;
}

base::Result<Answer> ParseAnswer(std::span<const std::byte> bytes, const HandshakeKey& key,
                                 const Hello& hello) {
  Answer answer;
  if (bytes.size() != sizeof answer) return base::DataLossError("an answer has 80 bytes");
  std::memcpy(&answer, bytes.data(), sizeof answer);
  if (!net::EqualInConstantTime(answer.proof, Prove("listens", key, hello, answer))) {
    return base::UnauthenticatedError(
        "whoever answers there has another key, or is another process than the member was");
  }
  if (answer.verdict != Answer::Verdict::kWelcome && answer.verdict != Answer::Verdict::kLeft &&
      answer.verdict != Answer::Verdict::kUnknown) {
    return base::DataLossError("what came is no answer of this release");
  }
  return answer;
}

void Sign(Answer& answer, const HandshakeKey& key, const Hello& hello) {
  answer.proof = Prove("listens", key, hello, answer);
}

net::Hmac ProofOf(const HandshakeKey& key, const Hello& hello, const Answer& answer) {
  return Prove("connects", key, hello, answer);
}

// The salt is as secret as the job's key, and binds what is derived to both messages.
base::Result<SealKeys> SealKeysOf(HandshakeRole role, const net::KeyShare& mine,
                                  const HandshakeKey& key, const Hello& hello,
                                  const Answer& answer) {
  const bool connects = role == HandshakeRole::kConnects;
  ASSIGN_OR_RETURN(const net::Secret agreed,
                   mine.Agree(connects ? answer.challenge : hello.challenge));
  const net::Hmac salt = Prove("seals", key, hello, answer);
  const std::string_view salt_bytes(reinterpret_cast<const char*>(salt.data()), salt.size());
  const auto derive = [&](std::string_view label) {
    return net::HkdfSha256(agreed.view(), salt_bytes, label, net::RecordCipher::kKeyBytes);
  };
  net::Secret forth = derive("lockstep tcp 2, from who connects");
  net::Secret back = derive("lockstep tcp 2, from who listens");
  if (!connects) std::swap(forth, back);
  return SealKeys{.out = std::move(forth), .in = std::move(back)};
}

}  // namespace lockstep::collectives
