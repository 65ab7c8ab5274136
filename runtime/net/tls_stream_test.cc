// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// TLS from certificates and tokens to messages: TlsTransport, TlsStream, Handshake and Channel over
// a pair of sockets.
#include "runtime/net/tls_stream.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/net/channel.h"
#include "runtime/net/handshake.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/job_token.h"
#include "runtime/net/tls_transport.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using Side = Transport::Side;

constexpr base::Duration kTimeout = std::chrono::seconds(30);

/// One end: its handshake, then its channel.
struct End {
  std::unique_ptr<Handshake> handshake;
  std::unique_ptr<ByteStream> stream;
  std::optional<base::Status> ready;
  std::unique_ptr<Channel> channel;
  std::vector<std::string> received;
  std::optional<base::Status> closed;
};

proto::StatusReply Message(const std::string& text) {
  proto::StatusReply message;
  message.set_job_id(text);
  return message;
}

class TlsStreamTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_)); }

  static std::unique_ptr<TlsTransport> WithToken(std::string_view token, std::string_view job) {
    return TlsTransport::Create(DeriveJobKey(Secret(token), job));
  }
  std::unique_ptr<JobCa> MakeCa(const base::Clock& clock) {
    return JobCa::Create("mnist-x1", clock).value();
  }
  static std::unique_ptr<TlsTransport> Certified(JobCa& ca, std::string_view name) {
    return TlsTransport::Create(ca.Issue(name).value()).value();
  }

  void Connect() {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    client_fd_.reset(ends[0]);
    server_fd_.reset(ends[1]);
  }
  void ConnectOverTcp() {
    sockaddr_in address{.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    const base::UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(listener.get(), name, size), 0);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    ASSERT_EQ(::getsockname(listener.get(), name, &size), 0);
    client_fd_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(client_fd_.get(), name, size), 0);
    server_fd_.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    ASSERT_TRUE(server_fd_.valid());
    const int flags = ::fcntl(client_fd_.get(), F_GETFL);
    ASSERT_EQ(::fcntl(client_fd_.get(), F_SETFL, flags | O_NONBLOCK), 0);
  }
  void Begin(const Transport& transport, base::UniqueFd fd, Side side, End* end) {
    end->handshake = std::make_unique<Handshake>(
        transport.Wrap(std::move(fd), side),
        [end](base::Result<std::unique_ptr<ByteStream>> stream) {
          end->ready = stream.status();
          if (stream.ok()) end->stream = *std::move(stream);
          end->handshake.reset();
        },
        *loop_);
  }
  void OpenChannel(End* end) {
    end->channel = std::make_unique<Channel>(
        std::move(end->stream),
        Channel::Handlers{.on_message =
                              [end](std::string_view payload) {
                                proto::StatusReply message;
                                ASSERT_TRUE(message.ParseFromArray(
                                    payload.data(), static_cast<int>(payload.size())));
                                end->received.push_back(message.job_id());
                              },
                          .on_closed = [end](const base::Status& why) { end->closed = why; }},
        Channel::Options(), *loop_);
  }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }
  /// Both handshakes to their ends.
  void Shake(const Transport& client, const Transport& server) {
    Connect();
    Begin(client, std::move(client_fd_), Side::kClient, &client_);
    Begin(server, std::move(server_fd_), Side::kServer, &server_);
    ASSERT_TRUE(RunUntil([&] { return client_.ready && server_.ready; }));
  }
  /// The server's answer to somebody who writes these bytes and nothing else.
  base::Status ServerMeets(const Transport& server, std::string_view bytes) {
    Connect();
    Begin(server, std::move(server_fd_), Side::kServer, &server_);
    EXPECT_EQ(::write(client_fd_.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
    EXPECT_TRUE(RunUntil([&] { return server_.ready.has_value(); }));
    return server_.ready.value_or(base::OkStatus());
  }

  const base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  base::UniqueFd client_fd_;
  base::UniqueFd server_fd_;
  End client_;
  End server_;
};

TEST_F(TlsStreamTest, CertificatesOfOneCaMakeAConnectionWithNames) {
  const auto ca = MakeCa(clock_);

  Shake(*Certified(*ca, "node-3"), *Certified(*ca, "node-0"));

  ASSERT_OK(*client_.ready);
  ASSERT_OK(*server_.ready);
  EXPECT_EQ(server_.stream->peer_name(), "node-3");
  EXPECT_EQ(client_.stream->peer_name(), "node-0");
}

TEST_F(TlsStreamTest, OneTokenMakesAConnectionWithoutNames) {
  Shake(*WithToken("0123456789abcdef", "job"), *WithToken("0123456789abcdef", "job"));

  ASSERT_OK(*client_.ready);
  ASSERT_OK(*server_.ready);
  EXPECT_EQ(server_.stream->peer_name(), "");
}

TEST_F(TlsStreamTest, CertificatesThatTheClockSaysAreOverStillServe) {
  const base::SimClock long_ago;  // 1970
  const auto ca = MakeCa(long_ago);

  Shake(*Certified(*ca, "node-3"), *Certified(*ca, "node-0"));

  EXPECT_OK(*client_.ready);
  EXPECT_OK(*server_.ready);
}

TEST_F(TlsStreamTest, CertificateOfAnotherCaIsRefusedOnBothSides) {
  const auto ca = MakeCa(clock_);
  const auto other = MakeCa(clock_);

  Shake(*Certified(*other, "node-3"), *Certified(*ca, "node-0"));

  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("not of this job")));
  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("another job")));
}

/// A client that believes the server and has a certificate that the server does not: the server
/// refuses after the client's side of the handshake is done.
TEST_F(TlsStreamTest, ClientThatIsRefusedLateHearsIt) {
  const auto ca = MakeCa(clock_);
  const auto other = MakeCa(clock_);
  NodeCredentials mixed = other->Issue("node-3").value();
  mixed.ca_certificate = ca->Issue("node-0")->ca_certificate;
  const auto client = TlsTransport::Create(mixed).value();

  Shake(*client, *Certified(*ca, "node-0"));

  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("another job")));
  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("not of this job")));
}

TEST_F(TlsStreamTest, WrongTokenIsRefusedOnBothSides) {
  Shake(*WithToken("0123456789abcdef", "job"), *WithToken("0123456789abcdeX", "job"));

  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("same token file")));
  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("same token file")));
}

TEST_F(TlsStreamTest, SameTokenOfAnotherJobIsRefused) {
  Shake(*WithToken("0123456789abcdef", "job-a"), *WithToken("0123456789abcdef", "job-b"));

  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("another job")));
  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("another job")));
}

TEST_F(TlsStreamTest, CertificateAndTokenDoNotMix) {
  const auto ca = MakeCa(clock_);
  Shake(*Certified(*ca, "node-3"), *WithToken("0123456789abcdef", "job"));
  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied));
  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("other means")));

  client_ = {};
  server_ = {};
  Shake(*WithToken("0123456789abcdef", "job"), *Certified(*ca, "node-0"));
  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied));
  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied));
}

TEST_F(TlsStreamTest, ClientOfTls12IsRefusedAndToldSo) {
  const auto ca = MakeCa(clock_);
  Connect();
  const auto server = Certified(*ca, "node-0");
  Begin(*server, std::move(server_fd_), Side::kServer, &server_);
  const OpenSslPtr<SSL_CTX> context(::SSL_CTX_new(::TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  OpenSslPtr<SSL> ssl(::SSL_new(context.get()));
  ::SSL_set_connect_state(ssl.get());
  TlsStream client(std::move(client_fd_), std::move(ssl));
  ByteStream::Outcome outcome = ByteStream::Outcome::NeedsReadable();
  ASSERT_TRUE(RunUntil([&] {
    if (outcome.blocked()) outcome = client.Handshake();
    return !outcome.blocked() && server_.ready;
  }));

  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("TLS before 1.3")));
  EXPECT_THAT(outcome.why, StatusIs(Code::kPermissionDenied));
}

TEST_F(TlsStreamTest, ClientWithoutCertificateIsRefusedAndToldSo) {
  const auto ca = MakeCa(clock_);
  Connect();
  const auto server = Certified(*ca, "node-0");
  Begin(*server, std::move(server_fd_), Side::kServer, &server_);
  const OpenSslPtr<SSL_CTX> context(::SSL_CTX_new(::TLS_client_method()));
  OpenSslPtr<SSL> ssl(::SSL_new(context.get()));
  ::SSL_set_connect_state(ssl.get());
  TlsStream client(std::move(client_fd_), std::move(ssl));
  std::optional<ByteStream::Outcome> answer;
  bool secured = false;
  ASSERT_TRUE(RunUntil([&] {
    if (!secured) {
      const auto outcome = client.Handshake();
      secured = outcome.done();
      EXPECT_TRUE(secured || outcome.blocked()) << outcome.why;
    } else if (!answer) {
      char byte;
      const auto outcome = client.Read(&byte, 1);
      if (!outcome.blocked()) answer = outcome;
    }
    return answer && server_.ready;
  }));

  EXPECT_THAT(*server_.ready,
              StatusIs(Code::kPermissionDenied, HasSubstr("showed no certificate")));
  EXPECT_THAT(answer->why, StatusIs(Code::kPermissionDenied, HasSubstr("wants a certificate")));
}

/// Each certificate in a handshake has to be parsed, which costs as much as checking a signature.
TEST_F(TlsStreamTest, CertificateTravelsWithoutThatOfTheCa) {
  const auto ca = MakeCa(clock_);
  Connect();
  const auto server = Certified(*ca, "node-0");
  Begin(*server, std::move(server_fd_), Side::kServer, &server_);
  const OpenSslPtr<SSL_CTX> context(::SSL_CTX_new(::TLS_client_method()));
  OpenSslPtr<SSL> ssl(::SSL_new(context.get()));
  SSL* const seen = ssl.get();
  ::SSL_set_connect_state(seen);
  TlsStream client(std::move(client_fd_), std::move(ssl));
  ASSERT_TRUE(RunUntil([&] { return client.Handshake().done(); }));

  EXPECT_EQ(sk_X509_num(::SSL_get_peer_cert_chain(seen)), 1);
}

TEST_F(TlsStreamTest, OtherProtocolsAreNamed) {
  const auto ca = MakeCa(clock_);
  const auto tls = Certified(*ca, "node-0");
  const PlainTransport plain;
  const auto meets = [&](const Transport& server, std::string_view bytes) {
    server_ = {};
    return ServerMeets(server, bytes);
  };

  EXPECT_THAT(meets(*tls, "GET / HTTP/1.1\r\n\r\n"),
              StatusIs(Code::kPermissionDenied, HasSubstr("HTTP")));
  EXPECT_THAT(meets(*tls, "lockstep/1\nand a message"),
              StatusIs(Code::kPermissionDenied, HasSubstr("does not speak TLS")));
  EXPECT_THAT(meets(plain, "GET / HTTP/1.1\r\n\r\n"),
              StatusIs(Code::kPermissionDenied, HasSubstr("HTTP")));
  EXPECT_THAT(meets(plain, "\x16\x03\x01\x02\x03\x01\x02\x03\x01\x02\x03"),
              StatusIs(Code::kPermissionDenied, HasSubstr("--allow-plain")));
  EXPECT_THAT(meets(plain, "lockstep/9\n"),
              StatusIs(Code::kPermissionDenied, HasSubstr("another version")));
  EXPECT_THAT(meets(plain, "SSH-2.0-OpenSSH"),
              StatusIs(Code::kPermissionDenied, HasSubstr("no lockstep agent")));
}

TEST_F(TlsStreamTest, AgentWithoutAKeyIsToldWhatItHasMet) {
  Shake(PlainTransport(), *WithToken("0123456789abcdef", "job"));

  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("does not speak TLS")));
  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("the peer speaks TLS")));
}

TEST_F(TlsStreamTest, AgentWithAKeyIsToldThatItsPeerHasNone) {
  Shake(*WithToken("0123456789abcdef", "job"), PlainTransport());

  EXPECT_THAT(*server_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("the peer speaks TLS")));
  EXPECT_THAT(*client_.ready, StatusIs(Code::kPermissionDenied, HasSubstr("does not speak TLS")));
}

TEST_F(TlsStreamTest, PeerThatLeavesBeforeTheEndOfTheHandshakeIsUnavailable) {
  const auto ca = MakeCa(clock_);
  const auto tls = Certified(*ca, "node-0");
  const PlainTransport plain;
  for (const Transport* server :
       {static_cast<const Transport*>(tls.get()), static_cast<const Transport*>(&plain)}) {
    server_ = {};
    Connect();
    Begin(*server, std::move(server_fd_), Side::kServer, &server_);
    client_fd_.reset();
    ASSERT_TRUE(RunUntil([&] { return server_.ready.has_value(); }));
    EXPECT_THAT(*server_.ready, StatusIs(Code::kUnavailable));
  }
}

/// Messages both ways, larger than socket buffers and TLS records.
TEST_F(TlsStreamTest, MegabytesGoBothWays) {
  Shake(*WithToken("0123456789abcdef", "job"), *WithToken("0123456789abcdef", "job"));
  ASSERT_OK(*client_.ready);
  OpenChannel(&client_);
  OpenChannel(&server_);
  const std::string big(1'000'000, 'x');

  for (int i = 0; i < 4; ++i) {
    ASSERT_OK(client_.channel->Send(Message(big + std::to_string(i))));
    ASSERT_OK(server_.channel->Send(Message(std::to_string(i) + big)));
  }
  EXPECT_GT(client_.channel->queued_bytes(), 0u);
  ASSERT_TRUE(
      RunUntil([&] { return client_.received.size() == 4 && server_.received.size() == 4; }));

  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(server_.received[static_cast<size_t>(i)], big + std::to_string(i));
    EXPECT_EQ(client_.received[static_cast<size_t>(i)], std::to_string(i) + big);
  }
}

/// Over TCP, where a record may be told to wait for the next one (MSG_MORE): up to 200 ms when none
/// comes. The last one of a message must not, and above all not one that is full.
TEST_F(TlsStreamTest, LastRecordOfAMessageIsNotHeldBack) {
  ConnectOverTcp();
  const auto transport = WithToken("0123456789abcdef", "job");
  Begin(*transport, std::move(client_fd_), Side::kClient, &client_);
  Begin(*transport, std::move(server_fd_), Side::kServer, &server_);
  ASSERT_TRUE(RunUntil([&] { return client_.ready && server_.ready; }));
  OpenChannel(&client_);
  OpenChannel(&server_);
  constexpr size_t kRecord = 16384;
  constexpr size_t kMessages = 60;
  const base::SteadyTime begin = clock_.Now();

  for (size_t i = 0; i < kMessages; ++i) {
    const size_t record_count = i % 6 + 1;
    // Frame, tag and length take eight bytes; those that are a little more or less come too.
    const std::string text(record_count * kRecord - 8 - i % 3 + 1, 'x');
    ASSERT_OK(client_.channel->Send(Message(text)));
    ASSERT_TRUE(RunUntil([&] { return server_.received.size() == i + 1; }));
    EXPECT_EQ(server_.received.back().size(), text.size());
  }

  EXPECT_LT(clock_.Now() - begin, kMessages / 3 * std::chrono::milliseconds(200));
}

/// The rest is in TLS's own buffer, and epoll shows nothing any more.
TEST_F(TlsStreamTest, WhatTlsHoldsIsDelivered) {
  Shake(*WithToken("0123456789abcdef", "job"), *WithToken("0123456789abcdef", "job"));
  ASSERT_OK(*client_.ready);
  OpenChannel(&client_);
  OpenChannel(&server_);

  // More than a channel reads at once, and the last record is the one that lies across that mark.
  ASSERT_OK(client_.channel->Send(Message(std::string(1'000, 'x'))));
  ASSERT_OK(client_.channel->Send(Message(std::string(65'000, 'x'))));
  ASSERT_EQ(client_.channel->queued_bytes(), 0u) << "the socket takes it at once";
  EXPECT_TRUE(RunUntil([&] { return server_.received.size() == 2; }));
}

/// The first message comes in one record with the preamble.
TEST_F(TlsStreamTest, WhatCameWithThePreambleIsDelivered) {
  const auto transport = WithToken("0123456789abcdef", "job");
  Connect();
  Begin(*transport, std::move(server_fd_), Side::kServer, &server_);
  const auto client = transport->Wrap(std::move(client_fd_), Side::kClient);
  ASSERT_TRUE(RunUntil([&] { return client->Handshake().done(); }));
  const std::string bytes = std::string(kPreamble) + std::string(4, '\0');
  ASSERT_EQ(client->Write(bytes).bytes, bytes.size());
  ASSERT_TRUE(RunUntil([&] { return server_.ready.has_value(); }));
  ASSERT_OK(*server_.ready);

  OpenChannel(&server_);
  EXPECT_TRUE(RunUntil([&] { return server_.received.size() == 1; }));
}

TEST_F(TlsStreamTest, WhatCameBeforeTheChannelIsDelivered) {
  for (const bool tls : {true, false}) {
    client_ = {};
    server_ = {};
    const auto secured = WithToken("0123456789abcdef", "job");
    const PlainTransport plain;
    const Transport& transport = tls ? static_cast<const Transport&>(*secured) : plain;
    Connect();
    Begin(transport, std::move(client_fd_), Side::kClient, &client_);
    Begin(transport, std::move(server_fd_), Side::kServer, &server_);
    ASSERT_TRUE(RunUntil([&] { return client_.ready.has_value() && server_.ready; }));
    OpenChannel(&client_);
    for (int i = 0; i < 1000; ++i) ASSERT_OK(client_.channel->Send(Message("first")));

    OpenChannel(&server_);
    ASSERT_TRUE(RunUntil([&] { return server_.received.size() == 1000; }));
    EXPECT_EQ(server_.received[0], "first");
  }
}

class TlsStreamEndTest : public TlsStreamTest {
 protected:
  /// A connection whose client the test holds as a stream.
  void SetUp() override {
    TlsStreamTest::SetUp();
    const auto transport = WithToken("0123456789abcdef", "job");
    Shake(*transport, *transport);
    ASSERT_OK(*client_.ready);
    ASSERT_OK(*server_.ready);
    raw_fd_ = client_.stream->fd();
    OpenChannel(&server_);
  }
  void ClientWrites(std::string_view bytes) {
    ASSERT_EQ(client_.stream->Write(bytes).bytes, bytes.size());
  }
  /// As a killed machine or somebody on the way would, without a farewell.
  void Cut() { ASSERT_EQ(::shutdown(raw_fd_, SHUT_RDWR), 0); }
  base::Status Closed() {
    EXPECT_TRUE(RunUntil([&] { return server_.closed.has_value(); }));
    return server_.closed.value_or(base::OkStatus());
  }

  int raw_fd_ = -1;
};

TEST_F(TlsStreamEndTest, FarewellBetweenMessagesIsNoError) {
  ClientWrites(std::string(4, '\0'));  // an empty message
  client_.stream.reset();

  EXPECT_OK(Closed());
  EXPECT_EQ(server_.received.size(), 1u);
}

TEST_F(TlsStreamEndTest, FarewellWithinAMessageIsDataLoss) {
  ClientWrites(std::string("\x09\0\0\0half", 8));
  client_.stream.reset();

  EXPECT_THAT(Closed(), StatusIs(Code::kDataLoss));
}

TEST_F(TlsStreamEndTest, CutBetweenMessagesIsUnavailable) {
  ClientWrites(std::string(4, '\0'));
  Cut();

  EXPECT_THAT(Closed(), StatusIs(Code::kUnavailable, HasSubstr("without a farewell")));
  EXPECT_EQ(server_.received.size(), 1u);
}

TEST_F(TlsStreamEndTest, CutWithinAMessageIsDataLoss) {
  ClientWrites(std::string("\x09\0\0\0half", 8));
  Cut();

  EXPECT_THAT(Closed(), StatusIs(Code::kDataLoss));
}

TEST_F(TlsStreamEndTest, BytesThatAreNoRecordCloseTheConnection) {
  const std::string garbage(100, 'x');
  ASSERT_EQ(::write(raw_fd_, garbage.data(), garbage.size()), 100);

  EXPECT_THAT(Closed(), StatusIs(Code::kPermissionDenied));
  EXPECT_TRUE(server_.received.empty());
}

TEST_F(TlsStreamEndTest, PeerThatIsGoneIsNoSignal) {
  client_.stream.reset();
  for (int i = 0; i < 3; ++i) (void)server_.channel->Send(Message("anybody there?"));

  EXPECT_THAT(Closed(), AnyOf(IsOk(), StatusIs(Code::kUnavailable)));
}

TEST_F(TlsStreamTest, CredentialsThatAreNoneAreRefused) {
  const auto ca = MakeCa(clock_);
  NodeCredentials good = ca->Issue("node-1").value();
  NodeCredentials other = ca->Issue("node-2").value();

  EXPECT_THAT(TlsTransport::Create(NodeCredentials{}).status(),
              StatusIs(Code::kInvalidArgument, HasSubstr("job's certificate")));
  std::swap(good.key, other.key);
  EXPECT_THAT(TlsTransport::Create(good).status(),
              StatusIs(Code::kInvalidArgument, HasSubstr("key")));
}

TEST_F(TlsStreamTest, NamesOfNodesHaveBounds) {
  const auto ca = MakeCa(clock_);

  EXPECT_OK(ca->Issue(std::string(64, 'n')).status());
  for (const std::string& name : {std::string(), std::string(65, 'n'), std::string("a b"),
                                  std::string("a\0b", 3), std::string("n/o")}) {
    EXPECT_THAT(ca->Issue(name).status(), StatusIs(Code::kInvalidArgument)) << name;
  }
}

}  // namespace
}  // namespace lockstep::net
