// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What members tell each other beside their ops, at the limits of what the protocol allows.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/tcp/stranger.h"
#include "collectives/host/tcp/tcp_connection.h"
#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_handshake.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/host/tcp/tcp_notes.h"
#include "collectives/host/tcp/tcp_service.h"
#include "runtime/net/tcp_socket.h"

namespace lockstep::collectives::testing {
namespace {

constexpr std::string_view kKey = "0123456789abcdef0123456789abcdef";

/// Members of one group of three, with the job's key, that tell what TcpNotes keeps. The notice
/// goes from member 0 to the others.
class TcpToldTest : public ::testing::Test {
 protected:
  /// Whose member 0 listens at `port`; 0 = where all of them do.
  std::shared_ptr<TcpEnd> EndOf(int self, uint16_t port = 0) const {
    GroupSpec spec{.job = "test", .host = "here", .name = "told", .rank = base::GroupRank(self)};
    for (int rank = 0; rank < 3; ++rank) spec.world_ranks.emplace_back(rank);
    std::vector<AddressCard> cards(3, service_->card());
    if (port != 0) cards[0].port = port;
    auto end = std::make_shared<TcpEnd>(TcpMembers(spec, cards), TcpEnd::Bells::kNone);
    service_->Register(end);
    return end;
  }
  HandshakeKey Key(const AddressCard& listener) const {
    return {.key = kKey, .job = "test", .listener = listener};
  }
  static std::string Frame(const TcpEnd& end, FrameKind kind, int from, uint64_t seq,
                           const std::string& payload) {
    FrameHeader header = end.members().Header(kind);
    header.from = from;
    header.seq = seq;
    header.bytes = payload.size();
    return BytesOf(header) + payload;
  }
  /// Whether member `from` is still answered once it has told `end` that.
  bool IsTaken(const TcpEnd& end, FrameKind kind, int from, uint64_t seq,
               const std::string& payload) const {
    Stranger member(*service_);
    Hello hello;
    hello.purpose = FlowPurpose::kControl;
    hello.from = from;
    hello.to = end.members().self();
    hello.group = end.members().id().value();
    member.Say(hello);
    Answer answer;
    EXPECT_TRUE(member.Hear(answer));
    member.Say(ProofOf(Key(service_->card()), hello, answer));
    member.SayText(Frame(end, kind, from, seq, payload) +
                   Frame(end, FrameKind::kQuery, from, 0, ""));
    FrameHeader state;
    return member.Hear(state) && state.kind == FrameKind::kState;
  }

  const std::shared_ptr<TcpService> service_ = TcpService::Start(LocalTcpConfig()).value();
  const std::string most_ = std::string(TcpNotes::kBytesMax, 'x');
};

TEST_F(TcpToldTest, ANoteThatIsTooLargeOrOfNoOpEndsTheConnection) {
  const auto end = EndOf(1);

  EXPECT_TRUE(IsTaken(*end, FrameKind::kNote, 2, 5, most_));
  EXPECT_FALSE(IsTaken(*end, FrameKind::kNote, 2, 6, most_ + "x"));
  EXPECT_FALSE(IsTaken(*end, FrameKind::kNote, 2, 0, "of no op"));

  EXPECT_EQ(end->notes().Get(2, 5), most_);
  EXPECT_EQ(end->notes().Get(2, 6), std::nullopt);
}

TEST_F(TcpToldTest, ANoticeIsTakenFromItsParentAndTheFirstStays) {
  const auto end = EndOf(1), root = EndOf(0);

  EXPECT_FALSE(IsTaken(*end, FrameKind::kNotice, 2, 0, "from a sibling"));
  EXPECT_FALSE(IsTaken(*root, FrameKind::kNotice, 1, 0, "from a child"));
  EXPECT_FALSE(IsTaken(*end, FrameKind::kNotice, 0, 0, most_ + "x"));
  EXPECT_EQ(end->notes().notice(), std::nullopt);
  EXPECT_EQ(root->notes().notice(), std::nullopt);
  EXPECT_TRUE(IsTaken(*end, FrameKind::kNotice, 0, 0, most_));
  EXPECT_TRUE(IsTaken(*end, FrameKind::kNotice, 0, 0, "another"));
  EXPECT_EQ(end->notes().notice(), most_);
}

TEST_F(TcpToldTest, WhoAnswersMayAddTheNoticeAndNoNote) {
  const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  BePatient(listener);
  const auto any = net::NumericAddress({.host = "127.0.0.1", .port = 0});
  ASSERT_EQ(::bind(listener.get(), any->get(), any->size()), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  sockaddr_in bound;
  socklen_t length = sizeof bound;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &length), 0);
  const auto end = EndOf(1, ntohs(bound.sin_port));

  service_->Ask(end, {0});
  Stranger asks(base::UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  Hello hello;
  ASSERT_TRUE(asks.Hear(hello));
  Answer answer;
  answer.verdict = Answer::Verdict::kWelcome;
  Sign(answer, Key(end->members().card(0)), hello);
  asks.Say(answer);
  net::Hmac proof;
  FrameHeader query;
  ASSERT_TRUE(asks.Hear(proof));
  ASSERT_TRUE(asks.Hear(query));
  EXPECT_EQ(query.kind, FrameKind::kQuery);
  asks.SayText(Frame(*end, FrameKind::kState, 0, 3, "") +
               Frame(*end, FrameKind::kNotice, 0, 0, most_) +
               Frame(*end, FrameKind::kNote, 0, 5, "a note"));

  EXPECT_TRUE(asks.IsCutOff());
  EXPECT_EQ(end->fact(0).called_seq, 3u);
  EXPECT_EQ(end->notes().notice(), most_);
  EXPECT_EQ(end->notes().Get(0, 5), std::nullopt);
}

}  // namespace
}  // namespace lockstep::collectives::testing
