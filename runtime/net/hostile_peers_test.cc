// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Whoever is not of the job reaches nothing, and costs the job nothing that lasts: while each of
// these is at it, two nodes go on talking, and afterwards no descriptor is left.
#include <errno.h>
#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/net/openssl.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/tcp_socket.h"
#include "runtime/net/testing/tcp_world.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::StatusIs;
using testing::Job;
using testing::TcpSecurity;
using namespace std::chrono_literals;

constexpr base::Duration kTimeout = 60s;
/// From a message of a member to its answer, whatever goes on beside it: a heartbeat that takes so
/// long costs nobody his lease (2 s).
constexpr base::Duration kLatencyMax = 1s;

size_t CountFds() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

/// What a client of up to this TLS version says first.
std::string ClientHello(int version_max) {
  const OpenSslPtr<SSL_CTX> context(::SSL_CTX_new(::TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), version_max);
  const OpenSslPtr<SSL> ssl(::SSL_new(context.get()));
  BIO* out = ::BIO_new(::BIO_s_mem());
  ::SSL_set_bio(ssl.get(), ::BIO_new(::BIO_s_mem()), out);
  ::SSL_set_connect_state(ssl.get());
  (void)::SSL_do_handshake(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return std::string(bytes, static_cast<size_t>(size));
}

/// Passes bytes both ways between the one who connects to it and a port, and keeps what the one
/// and the other have said.
class Eavesdropper {
 public:
  Eavesdropper(uint16_t target, event::Loop& loop)
      : loop_(loop), target_(target), sockets_(ListenTcp("127.0.0.1", {0, 0}).value()) {
    accept_ = loop_.Watch(sockets_.fds[0].get(), {.readable = true},
                          [this](event::Readiness) { Accept(); });
  }
  uint16_t port() const { return sockets_.port; }
  const std::string& heard() const { return heard_; }
  const std::string& answers() const { return answers_; }

 private:
  void Accept() {
    auto accepted = AcceptTcp(sockets_.fds[0].get());
    ASSERT_OK(accepted.status());
    if (!accepted->fd.valid()) return;
    client_ = std::move(accepted->fd);
    server_ = BeginConnectTcp(*NumericAddress({"127.0.0.1", target_})).value();
    connected_ = loop_.Watch(server_.get(), {.writable = true}, [this](event::Readiness) {
      connected_.reset();
      from_server_ = loop_.Watch(server_.get(), {.readable = true}, [this](event::Readiness) {
        answers_ += Pass(server_, client_, &from_server_);
      });
      from_client_ = loop_.Watch(client_.get(), {.readable = true}, [this](event::Readiness) {
        heard_ += Pass(client_, server_, &from_client_);
      });
    });
  }
  static std::string Pass(const base::UniqueFd& from, const base::UniqueFd& to,
                          event::Registration* watch) {
    char bytes[4096];
    const ssize_t count = ::recv(from.get(), bytes, sizeof(bytes), 0);
    if (count <= 0) {
      if (count == 0 || errno != EAGAIN) watch->reset();
      return "";
    }
    const auto size = static_cast<size_t>(count);
    EXPECT_EQ(::send(to.get(), bytes, size, MSG_NOSIGNAL), count);
    return std::string(bytes, size);
  }

  event::Loop& loop_;
  const uint16_t target_;
  const TcpListenSockets sockets_;
  std::string heard_;    // of the client
  std::string answers_;  // of the server
  base::UniqueFd client_, server_;
  event::Registration accept_, connected_, from_server_, from_client_;
};

/// Says the same to everybody who connects, whatever he says.
class Parrot {
 public:
  Parrot(std::string words, event::Loop& loop)
      : words_(std::move(words)), sockets_(ListenTcp("127.0.0.1", {0, 0}).value()) {
    accept_ = loop.Watch(sockets_.fds[0].get(), {.readable = true}, [this](event::Readiness) {
      auto accepted = AcceptTcp(sockets_.fds[0].get());
      if (!accepted.ok() || !accepted->fd.valid()) return;
      (void)::send(accepted->fd.get(), words_.data(), words_.size(), MSG_NOSIGNAL);
      listeners_.push_back(std::move(accepted->fd));
    });
  }
  uint16_t port() const { return sockets_.port; }

 private:
  const std::string words_;
  const TcpListenSockets sockets_;
  std::vector<base::UniqueFd> listeners_;
  event::Registration accept_;
};

class HostilePeersTest : public ::testing::TestWithParam<TcpSecurity> {
 protected:
  void SetUp() override {
    fds_before_ = CountFds();
    ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_));
    server_ = MakeNetwork(&job_, "node-0");
    client_ = MakeNetwork(&job_, "node-1");
    ASSERT_OK_AND_ASSIGN(
        listener_, server_->Listen({.host = "127.0.0.1", .handshake_timeout = 300ms},
                                   [this](auto connection) { Serve(std::move(connection)); }));
    ASSERT_OK(Join().status());
    ASSERT_TRUE(RunUntil([&] { return echoes_ > 0; }));
  }
  void TearDown() override {
    StillTalks();
    EXPECT_EQ(guests_.size(), 1u) << "nobody else was let in";
    EXPECT_LT(worst_latency_, kLatencyMax) << base::FormatDuration(worst_latency_);
    RecordProperty("worst_latency", base::FormatDuration(worst_latency_));
    guests_.clear();
    connection_.reset();
    listener_.reset();
    client_.reset();
    server_.reset();
    loop_.reset();
    EXPECT_EQ(CountFds(), fds_before_);
  }

  std::unique_ptr<TcpNetwork> MakeNetwork(Job* job, const std::string& name) {
    return std::make_unique<TcpNetwork>(job->Node(name), Channel::Options(), *loop_);
  }
  Endpoint Where() { return {"127.0.0.1", listener_->endpoint().port}; }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }
  /// Every message is sent back.
  void Serve(std::unique_ptr<Connection> connection) {
    Connection* guest = connection.get();
    guests_.push_back(std::move(connection));
    guest->Start({.on_message =
                      [guest](std::string_view payload) {
                        google::protobuf::StringValue message;
                        ASSERT_TRUE(message.ParseFromArray(payload.data(),
                                                           static_cast<int>(payload.size())));
                        EXPECT_OK(guest->Send(message));
                      },
                  .on_closed = nullptr});
  }
  base::Result<std::unique_ptr<Connection>> Connect(Network& as, Endpoint to) {
    std::optional<base::Result<std::unique_ptr<Connection>>> attempt;
    const auto connecting =
        as.Connect({std::move(to)}, 20s, [&](auto result) { attempt = std::move(result); });
    EXPECT_TRUE(RunUntil([&] { return attempt.has_value(); }));
    return *std::move(attempt);
  }
  /// Node 1 comes in, and from then on sends one message after the other.
  base::Result<bool> Join() {
    ASSIGN_OR_RETURN(connection_, Connect(*client_, Where()));
    connection_->Start({.on_message =
                            [this](std::string_view) {
                              ++echoes_;
                              worst_latency_ = std::max(worst_latency_, clock_.Now() - asked_at_);
                              asked_at_ = clock_.Now();
                              EXPECT_OK(connection_->Send(Message()));
                            },
                        .on_closed = [](const base::Status& why) { ADD_FAILURE() << why; }});
    asked_at_ = clock_.Now();
    RETURN_IF_ERROR(connection_->Send(Message()));
    return true;
  }
  static google::protobuf::StringValue Message() {
    google::protobuf::StringValue message;
    message.set_value("ping");
    return message;
  }
  void StillTalks() {
    const int before = echoes_;
    EXPECT_TRUE(RunUntil([&] { return echoes_ >= before + 10; }));
  }

  base::UniqueFd Intrude(std::string_view says = {}) {
    base::UniqueFd fd = BeginConnectTcp(*NumericAddress(Where())).value();
    // Over loopback a connection stands at once, or the next send says why not.
    if (!says.empty()) {
      EXPECT_EQ(::send(fd.get(), says.data(), says.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(says.size()));
    }
    return fd;
  }
  static bool IsClosed(const base::UniqueFd& fd) {
    char bytes[4096];
    ssize_t count;
    while ((count = ::recv(fd.get(), bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
    }
    return count == 0 || errno == ECONNRESET;
  }
  void AllAreTurnedAway(const std::vector<base::UniqueFd>& intruders) {
    EXPECT_TRUE(
        RunUntil([&] { return std::all_of(intruders.begin(), intruders.end(), IsClosed); }));
    EXPECT_TRUE(RunUntil([&] { return listener_->refused_total() == intruders.size(); }))
        << listener_->refused_total();
  }

  const base::RealClock clock_;
  size_t fds_before_ = 0;
  std::unique_ptr<event::EpollLoop> loop_;
  Job job_{GetParam()};
  std::unique_ptr<TcpNetwork> server_, client_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Connection>> guests_;
  std::unique_ptr<Connection> connection_;
  int echoes_ = 0;
  base::SteadyTime asked_at_{};
  base::Duration worst_latency_{0};
};

TEST_P(HostilePeersTest, RandomBytes) {
  base::Random random(1);
  std::vector<base::UniqueFd> intruders;
  for (int i = 0; i < 100; ++i) {
    std::string bytes(1 + random.Below(2000), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Next());
    intruders.push_back(Intrude(bytes));
  }
  AllAreTurnedAway(intruders);
}

TEST_P(HostilePeersTest, OtherProtocolsAndOldTls) {
  std::vector<base::UniqueFd> intruders;
  intruders.push_back(Intrude("GET / HTTP/1.1\r\nHost: node7\r\n\r\n"));
  intruders.push_back(Intrude("SSH-2.0-OpenSSH_9.2\r\n"));
  intruders.push_back(Intrude("lockstep/1\n\x04\0\0\0abcd"));
  intruders.push_back(Intrude(ClientHello(TLS1_2_VERSION)));
  intruders.push_back(Intrude(ClientHello(TLS1_3_VERSION)));  // and then nothing more
  AllAreTurnedAway(intruders);
}

TEST_P(HostilePeersTest, HundredsThatSayNothingKeepNobodyOut) {
  std::vector<base::UniqueFd> intruders;
  for (int i = 0; i < 500; ++i) intruders.push_back(Intrude());

  EXPECT_OK(Connect(*client_, Where()).status());
  guests_.pop_back();
  AllAreTurnedAway(intruders);
}

TEST_P(HostilePeersTest, HundredsThatDribbleKeepNobodyOut) {
  const std::string hello = ClientHello(TLS1_3_VERSION);
  std::vector<base::UniqueFd> intruders;
  for (int i = 0; i < 200; ++i) intruders.push_back(Intrude());
  size_t sent = 0;
  event::Registration drip;
  const std::function<void()> dribble = [&] {
    if (sent + 20 < hello.size()) {
      for (const auto& fd : intruders) (void)::send(fd.get(), &hello[sent], 1, MSG_NOSIGNAL);
      ++sent;
    }
    drip = loop_->After(1ms, dribble);
  };
  drip = loop_->After(0ms, dribble);

  EXPECT_OK(Connect(*client_, Where()).status());
  guests_.pop_back();
  AllAreTurnedAway(intruders);
}

// Each costs its own side a descriptor; the listener's never has more than handshakes_max of them.
TEST_P(HostilePeersTest, TenThousandHalfOpenConnections) {
  constexpr size_t kCount = 10'000;
  constexpr size_t kHandshakesMax = 256;
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < kCount + 2000) {
    GTEST_SKIP() << "the limit of descriptors is " << files.rlim_max << " (ulimit -Hn)";
  }
  const rlimit before = files;
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  {
    const std::string hello = ClientHello(TLS1_3_VERSION);
    std::vector<base::UniqueFd> intruders;
    size_t most = 0;
    while (intruders.size() < kCount) {
      for (int i = 0; i < 100; ++i) intruders.push_back(Intrude());
      ASSERT_TRUE(RunUntil(
          [&] { return listener_->refused_total() + kHandshakesMax >= intruders.size(); }));
      // Some begin to speak, and stop in the middle.
      for (size_t i = intruders.size() - 50; i < intruders.size(); ++i)
        (void)::send(intruders[i].get(), hello.data(), 50, MSG_NOSIGNAL);
      most = std::max(most, CountFds() - fds_before_ - intruders.size());
    }
    EXPECT_OK(Connect(*client_, Where()).status());
    guests_.pop_back();
    EXPECT_TRUE(RunUntil([&] { return listener_->refused_total() == kCount; }))
        << listener_->refused_total();
    EXPECT_LT(most, kHandshakesMax + 100) << "descriptors of the listener's side";
  }
  asked_at_ = clock_.Now();  // closing them all was this test's doing
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_P(HostilePeersTest, ConnectAndCloseScan) {
  for (int i = 0; i < 300; ++i) (void)Intrude();
  EXPECT_TRUE(RunUntil([&] { return listener_->refused_total() == 300; }));
}

TEST_P(HostilePeersTest, OneByteAtATimeDoesNotOutliveTheDeadline) {
  const std::string hello = ClientHello(TLS1_3_VERSION);
  std::vector<base::UniqueFd> intruders;
  for (int i = 0; i < 10; ++i) intruders.push_back(Intrude());
  size_t sent = 0;

  // Asked once a millisecond: the whole of it would take longer than the deadline.
  ASSERT_GT(hello.size(), 0u);
  EXPECT_TRUE(RunUntil([&] {
    if (sent + 20 < hello.size()) {
      for (const auto& fd : intruders) (void)::send(fd.get(), &hello[sent], 1, MSG_NOSIGNAL);
      ++sent;
    }
    return listener_->refused_total() == intruders.size();
  }));
  AllAreTurnedAway(intruders);
}

TEST_P(HostilePeersTest, ReplayedHandshakeProvesNothing) {
  std::string recorded;
  {
    Eavesdropper eavesdropper(listener_->endpoint().port, *loop_);
    auto connection = Connect(*client_, {"127.0.0.1", eavesdropper.port()});
    ASSERT_OK(connection.status());
    (*connection)->Start({.on_message = [](std::string_view) {}, .on_closed = nullptr});
    const size_t handshake = eavesdropper.heard().size();
    ASSERT_OK((*connection)->Send(Message()));
    ASSERT_TRUE(RunUntil([&] { return eavesdropper.heard().size() > handshake; }));
    recorded = eavesdropper.heard();
  }
  ASSERT_TRUE(RunUntil([&] { return guests_.size() == 2; }));
  guests_.pop_back();

  std::vector<base::UniqueFd> intruders;
  for (int i = 0; i < 3; ++i) intruders.push_back(Intrude(recorded));
  AllAreTurnedAway(intruders);
}

TEST_P(HostilePeersTest, ReplayedAnswersProveNothingToWhoConnects) {
  std::string recorded;
  {
    Eavesdropper eavesdropper(listener_->endpoint().port, *loop_);
    ASSERT_OK(Connect(*client_, {"127.0.0.1", eavesdropper.port()}).status());
    recorded = eavesdropper.answers();
  }
  ASSERT_TRUE(RunUntil([&] { return guests_.size() == 2; }));
  guests_.pop_back();
  ASSERT_GT(recorded.size(), 100u);

  const Parrot parrot(recorded, *loop_);
  EXPECT_THAT(Connect(*client_, {"127.0.0.1", parrot.port()}).status(),
              StatusIs(Code::kPermissionDenied));
}

TEST_P(HostilePeersTest, NodeOfAnotherJob) {
  Job other(GetParam());
  const auto stranger = MakeNetwork(&other, "node-1");

  for (int i = 0; i < 3; ++i)
    EXPECT_THAT(Connect(*stranger, Where()).status(), StatusIs(Code::kPermissionDenied));

  EXPECT_TRUE(RunUntil([&] { return listener_->refused_total() == 3; }));
}

INSTANTIATE_TEST_SUITE_P(All, HostilePeersTest,
                         ::testing::Values(TcpSecurity::kCertificates, TcpSecurity::kToken),
                         [](const auto& test) {
                           return test.param == TcpSecurity::kToken ? "Token" : "Certificates";
                         });

}  // namespace
}  // namespace lockstep::net
