// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_handshake.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::Not;

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";

template <class T>
std::span<const std::byte> BytesOf(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

struct Meeting {
  AddressCard card;
  Hello hello;
  Answer answer;

  Meeting() {
    card.nonce.fill(1);
    hello.from = 0;
    hello.to = 1;
    hello.epoch = 4;
    hello.group = 77;
    hello.challenge.fill(2);
    answer.verdict = Answer::Verdict::kWelcome;
    answer.challenge.fill(3);
    Sign(answer, Key());
  }
  HandshakeKey Key() const { return {.key = kKey, .job = "job", .listener = card}; }
  void Sign(Answer& to_sign, const HandshakeKey& key) { collectives::Sign(to_sign, key, hello); }
};

TEST(TcpHandshakeTest, BothEndsOfOneJobBelieveEachOther) {
  const Meeting meeting;

  ASSERT_OK_AND_ASSIGN(const Hello hello, ParseHello(BytesOf(meeting.hello)));
  ASSERT_OK_AND_ASSIGN(const Answer answer,
                       ParseAnswer(BytesOf(meeting.answer), meeting.Key(), meeting.hello));

  EXPECT_EQ(ProofOf(meeting.Key(), hello, answer),
            ProofOf(meeting.Key(), meeting.hello, meeting.answer));
}

TEST(TcpHandshakeTest, AnotherKeyJobOrProcessIsFoundOut) {
  const Meeting meeting;
  AddressCard other = meeting.card;
  other.nonce[15] = 9;

  const HandshakeKey keys[] = {
      {.key = "0123456789abcdef0123456789abcdeF", .job = "job", .listener = meeting.card},
      {.key = kKey, .job = "another", .listener = meeting.card},
      {.key = kKey, .job = "job", .listener = other}};
  for (const HandshakeKey& key : keys) {
    EXPECT_THAT(ParseAnswer(BytesOf(meeting.answer), key, meeting.hello),
                StatusIs(Code::kUnauthenticated));
    EXPECT_NE(ProofOf(key, meeting.hello, meeting.answer),
              ProofOf(meeting.Key(), meeting.hello, meeting.answer));
  }
}

TEST(TcpHandshakeTest, EveryFieldOfBothMessagesIsBound) {
  const Meeting meeting;
  for (size_t at = 0; at < sizeof(Hello); ++at) {
    Hello changed = meeting.hello;
    reinterpret_cast<uint8_t*>(&changed)[at] ^= 1;
    EXPECT_THAT(ParseAnswer(BytesOf(meeting.answer), meeting.Key(), changed), Not(IsOk())) << at;
  }
  for (size_t at = 0; at < sizeof(Answer); ++at) {
    Answer changed = meeting.answer;
    reinterpret_cast<uint8_t*>(&changed)[at] ^= 1;
    EXPECT_THAT(ParseAnswer(BytesOf(changed), meeting.Key(), meeting.hello), Not(IsOk())) << at;
    if (at < offsetof(Answer, proof)) {
      EXPECT_NE(ProofOf(meeting.Key(), meeting.hello, changed),
                ProofOf(meeting.Key(), meeting.hello, meeting.answer))
          << at;
    }
  }
}

TEST(TcpHandshakeTest, AnAnswerSentBackIsNoProof) {
  const Meeting meeting;

  EXPECT_NE(ProofOf(meeting.Key(), meeting.hello, meeting.answer), meeting.answer.proof);
}

/// A meeting whose challenges are shares.
struct SealedMeeting : Meeting {
  net::KeyShare connecting = net::KeyShare::Make(), listening = net::KeyShare::Make();

  SealedMeeting() {
    hello.sealed = 1;
    hello.challenge = connecting.shown();
    answer.challenge = listening.shown();
  }
  base::Result<SealKeys> Keys(HandshakeRole role) const {
    const bool connects = role == HandshakeRole::kConnects;
    return SealKeysOf(role, connects ? connecting : listening, Key(), hello, answer);
  }
};

TEST(TcpHandshakeTest, BothEndsDeriveTheSameKeysAndOneForEachDirection) {
  const SealedMeeting meeting;

  ASSERT_OK_AND_ASSIGN(const SealKeys connects, meeting.Keys(HandshakeRole::kConnects));
  ASSERT_OK_AND_ASSIGN(const SealKeys listens, meeting.Keys(HandshakeRole::kListens));

  EXPECT_EQ(connects.out.view(), listens.in.view());
  EXPECT_EQ(connects.in.view(), listens.out.view());
  EXPECT_NE(connects.out.view(), connects.in.view());
}

// Who gets the job's key later, with a recording, lacks what only the two shares had.
TEST(TcpHandshakeTest, KeysNeedTheSharesTheJobsKeyAndEveryFieldOfBothMessages) {
  const SealedMeeting meeting;
  ASSERT_OK_AND_ASSIGN(const SealKeys right, meeting.Keys(HandshakeRole::kConnects));

  const net::KeyShare other = net::KeyShare::Make();
  ASSERT_OK_AND_ASSIGN(
      const SealKeys without_share,
      SealKeysOf(HandshakeRole::kConnects, other, meeting.Key(), meeting.hello, meeting.answer));
  HandshakeKey key = meeting.Key();
  key.key = "0123456789abcdef0123456789abcdeF";
  ASSERT_OK_AND_ASSIGN(
      const SealKeys without_key,
      SealKeysOf(HandshakeRole::kConnects, meeting.connecting, key, meeting.hello, meeting.answer));
  Hello hello = meeting.hello;
  hello.to = 2;
  ASSERT_OK_AND_ASSIGN(const SealKeys of_another,
                       SealKeysOf(HandshakeRole::kConnects, meeting.connecting, meeting.Key(),
                                  hello, meeting.answer));

  for (const SealKeys* keys : {&without_share, &without_key, &of_another})
    EXPECT_NE(keys->out.view(), right.out.view());
}

TEST(TcpHandshakeTest, WhatIsNoHelloIsDataLoss) {
  Hello magic, version, purpose, same, negative, line, sealed;
  magic.magic[0] = 'G';
  version.version = 1;
  purpose.purpose = static_cast<FlowPurpose>(kFlowPurposeLimit);
  same.from = same.to = 3;
  negative.from = -1;

  line.line = kTcpFlowsMax;
  sealed.sealed = 2;
  for (Hello* hello : {&magic, &version, &purpose, &line, &sealed}) hello->to = 1;
  for (const Hello& hello : {magic, version, purpose, same, negative, line, sealed})
    EXPECT_THAT(ParseHello(BytesOf(hello)), StatusIs(Code::kDataLoss));
  EXPECT_THAT(ParseHello(BytesOf(Meeting().hello).first(63)), StatusIs(Code::kDataLoss));
}

}  // namespace
}  // namespace lockstep::collectives
