// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What two nodes come to when any one system call between listening and the last message fails. Not
// among them: close(), which is done whatever it answers, and epoll_ctl(), without which there is
// no loop (syscall_faults.h); shutdown() is not used.
#include <errno.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <string.h>
#include <sys/syscall.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/testing/tcp_world.h"
#include "runtime/process/testing/syscall_faults.h"

namespace lockstep::net {
namespace {

using process::testing::RunWithFaults;
using process::testing::SyscallFaults;
using testing::Job;
using testing::TcpSecurity;
using namespace std::chrono_literals;

constexpr int kCallsMax = 1000;
constexpr base::Duration kTimeout = 20s;

size_t CountFds() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

google::protobuf::StringValue Ping() {
  google::protobuf::StringValue message;
  message.set_value("ping");
  return message;
}

/// Two nodes; one listens and sends back what it gets.
class Pair {
 public:
  Pair(Job& job, event::Loop& loop)
      : loop_(loop),
        server_(job.Node("node-0"), Channel::Options(), loop),
        client_(job.Node("node-1"), Channel::Options(), loop) {}

  base::Status Listen() {
    ASSIGN_OR_RETURN(listener_, server_.Listen({.host = "127.0.0.1"}, [this](auto connection) {
      guest_ = std::move(connection);
      guest_->Start({.on_message = [this](std::string_view) { (void)guest_->Send(Ping()); },
                     .on_closed = nullptr});
    }));
    return base::OkStatus();
  }

  /// Connects and sends until an answer comes; one lost connection is made good by another.
  /// "" = an answer came.
  std::string Talk() {
    base::Status lost;
    for (int connections = 0; connections < 2; ++connections) {
      std::optional<base::Result<std::unique_ptr<Connection>>> attempt;
      const auto connecting = client_.Connect({{"127.0.0.1", listener_->endpoint().port}}, kTimeout,
                                              [&](auto result) { attempt = std::move(result); });
      if (!RunUntil([&] { return attempt.has_value(); })) return "the attempt has no end";
      if (!attempt->ok()) return "connect: " + attempt->status().ToString();
      bool answered = false;
      std::optional<base::Status> closed;
      const std::unique_ptr<Connection> connection = std::move(**attempt);
      connection->Start({.on_message = [&](std::string_view) { answered = true; },
                         .on_closed = [&](base::Status why) { closed = std::move(why); }});
      (void)connection->Send(Ping());
      if (!RunUntil([&] { return answered || closed; })) return "neither answer nor end";
      if (answered) return "";
      lost = *closed;
    }
    return "two connections lost to one fault: " + lost.ToString();
  }

 private:
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(loop_, done, kTimeout + 5s);
  }

  event::Loop& loop_;
  TcpNetwork server_;
  TcpNetwork client_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Connection> guest_;
};

class TcpFaultTest : public ::testing::TestWithParam<TcpSecurity> {};

TEST_P(TcpFaultTest, OneRefusedCallCostsAnErrorThatSaysSoOrNothing) {
  for (const int error : {ENOBUFS, EMFILE, ECONNRESET}) {
    const std::string problem = RunWithFaults([&](SyscallFaults& faults) -> std::string {
      const base::RealClock clock;
      const auto loop = event::EpollLoop::Create(clock).value();
      Job job(GetParam());
      {
        Pair first(job, *loop);  // so that OpenSSL has all that it keeps
        if (!first.Listen().ok() || !first.Talk().empty()) return "does not work without faults";
      }
      std::set<long> calls;
      const size_t fds = CountFds();
      for (int k = 0; k < kCallsMax; ++k) {
        std::optional<long> refused;
        {
          Pair pair(job, *loop);
          faults.Arm(k, error);
          const base::Status listening = pair.Listen();
          const std::string outcome = listening.ok() ? pair.Talk() : "";
          refused = faults.Disarm();
          if (refused) calls.insert(*refused);
          if (!listening.ok() &&
              listening.message().find(strerrorname_np(error)) == std::string::npos) {
            return "call " + std::to_string(k) + ": " + listening.ToString();
          }
          if (!outcome.empty()) {
            return "call " + std::to_string(k) + " (" + std::to_string(refused.value_or(-1)) +
                   "): " + outcome;
          }
        }
        if (CountFds() != fds) return "call " + std::to_string(k) + ": a descriptor is left";
        if (refused) continue;
        for (const long call :
             {SYS_socket, SYS_setsockopt, SYS_bind, SYS_listen, SYS_getsockname, SYS_accept4,
              SYS_connect, SYS_getsockopt, SYS_getpeername, SYS_sendto, SYS_recvfrom}) {
          if (!calls.contains(call)) return "never refused: call " + std::to_string(call);
        }
        return "";
      }
      return "no end";
    });
    if (problem.starts_with("SKIP ")) GTEST_SKIP() << problem.substr(5);
    EXPECT_EQ(problem, "") << strerrorname_np(error);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TcpFaultTest,
                         ::testing::Values(TcpSecurity::kPlain, TcpSecurity::kCertificates,
                                           TcpSecurity::kToken),
                         [](const auto& test) {
                           return test.param == TcpSecurity::kPlain   ? "Plain"
                                  : test.param == TcpSecurity::kToken ? "Token"
                                                                      : "Certificates";
                         });

}  // namespace
}  // namespace lockstep::net
