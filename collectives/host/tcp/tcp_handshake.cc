// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_handshake.h"

#include <cstring>

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
      static_cast<uint8_t>(hello.purpose) >= kFlowPurposeLimit || hello.reserved != 0 ||
      hello.from < 0 || hello.to < 0 || hello.from == hello.to) {
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

}  // namespace lockstep::collectives
