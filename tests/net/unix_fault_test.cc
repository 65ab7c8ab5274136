// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What verbs and ranks, which talk to their agent over a unix socket, come to when any one system
// call on either side fails, from listening to the answer. Both sides share one thread, since a
// client waits by poll(), for what is there already.
#include <errno.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/net/blocking_client.h"
#include "runtime/net/channel_server.h"
#include "runtime/process/testing/syscall_faults.h"

namespace lockstep::net {
namespace {

using process::testing::RunWithFaults;
using process::testing::SyscallFaults;
using namespace std::chrono_literals;

constexpr int kCallsMax = 200;
constexpr base::Duration kTimeout = 20s;

size_t CountFds() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

/// A socket file that nobody listens on, as a killed agent leaves it.
void LeaveSocket(const std::string& path) {
  const base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  (void)::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
}

/// An agent that sends back what it gets.
class Agent {
 public:
  Agent(std::string path, event::Loop& loop) : path_(std::move(path)), loop_(loop) {}

  base::Status Listen() {
    ASSIGN_OR_RETURN(server_,
                     ChannelServer::Listen(
                         path_,
                         {.on_message = [this](ConnectionId id,
                                               std::string_view payload) { Answer(id, payload); },
                          .on_closed = [this](ConnectionId, const base::Status&) { ++ended_; }},
                         {}, loop_));
    return base::OkStatus();
  }

  /// One call, as a verb makes it: to its answer, or until it is turned away.
  base::Status Call(const std::string& text, const base::Clock& clock) {
    const base::SteadyTime deadline = clock.Now() + kTimeout;
    ASSIGN_OR_RETURN(BlockingClient client, BlockingClient::Connect(path_, deadline, clock));
    google::protobuf::StringValue message;
    message.set_value(text);
    RETURN_IF_ERROR(client.Send(message, deadline));
    const uint64_t before = TurnedAway();
    // One that came before may have its end now.
    const auto is_turned_away = [&] {
      return TurnedAway() > before && server_->connection_count() == 0;
    };
    if (!RunUntil([&] { return heard_ == text || is_turned_away(); })) {
      return base::InternalError("neither heard nor turned away");
    }
    // An answer that cannot be sent ends the connection in a later turn of the loop, which does not
    // run while the client waits.
    event::testing::RunUntil(loop_, is_turned_away, 5ms);
    RETURN_IF_ERROR(client.Receive(deadline, &message));
    return message.value() == text ? base::OkStatus() : base::InternalError("another answer");
  }
  /// Until it has seen the end of everybody who has called.
  bool Rest() {
    return RunUntil([&] { return server_->connection_count() == 0; });
  }

 private:
  void Answer(ConnectionId id, std::string_view payload) {
    google::protobuf::StringValue message;
    (void)message.ParseFromString(std::string(payload));
    heard_ = message.value();
    (void)server_->Send(id, message);
  }
  uint64_t TurnedAway() const { return ended_ + server_->refused_total(); }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(loop_, done, kTimeout);
  }

  const std::string path_;
  event::Loop& loop_;
  std::unique_ptr<ChannelServer> server_;
  std::string heard_;
  uint64_t ended_ = 0;
};

/// What is wrong with an error that one refused call led to; "" when it says what happened.
std::string Wrong(const base::Status& status, int error) {
  const bool named = status.message().find(strerrorname_np(error)) != std::string::npos;
  // What a peer that has gone, and a socket that may be somebody's, look like.
  const bool understood =
      status.code() == base::Code::kUnavailable || status.code() == base::Code::kAlreadyExists;
  return status.ok() || named || understood ? "" : status.ToString();
}

std::string RefuseEachCall(SyscallFaults& faults, const std::string& path, int error) {
  const base::RealClock clock;
  const auto loop = event::EpollLoop::Create(clock).value();
  std::set<long> calls;
  const size_t fds = CountFds();
  for (int k = 0; k < kCallsMax; ++k) {
    LeaveSocket(path);
    const std::string call = "call " + std::to_string(k) + ": ";
    std::optional<long> refused;
    {
      Agent agent(path, *loop);
      faults.Arm(k, error);
      const base::Status listening = agent.Listen();
      const base::Status first = listening.ok() ? agent.Call("first", clock) : base::OkStatus();
      refused = faults.Disarm();
      if (refused) calls.insert(*refused);
      for (const base::Status& status : {listening, first}) {
        if (!Wrong(status, error).empty()) return call + status.ToString();
        if (!refused && !status.ok()) return call + "without a fault: " + status.ToString();
      }
      // One fault is over with one call; one that went wrong may still be in the backlog.
      for (int more = 0; listening.ok() && more < 2; ++more) {
        if (!agent.Rest()) return call + "a connection is left";
        const base::Status next = agent.Call("next " + std::to_string(more), clock);
        if (!next.ok() && more > 0) return call + "later ones fail: " + next.ToString();
      }
    }
    ::unlink(path.c_str());
    if (CountFds() != fds) return call + "a descriptor is left";
    if (refused) continue;
    for (const long one : {SYS_socket, SYS_fchmod, SYS_bind, SYS_unlink, SYS_listen, SYS_accept4,
                           SYS_connect, SYS_getsockopt, SYS_sendto, SYS_recvfrom}) {
      if (!calls.contains(one)) return "never refused: call " + std::to_string(one);
    }
    return "";
  }
  return "no end";
}

TEST(UnixFaultTest, OneRefusedCallCostsAnErrorThatSaysSoOrNothing) {
  std::string folder = "/tmp/lockstep_test_XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  for (const int error : {ENOBUFS, EMFILE, ECONNRESET, EACCES}) {
    const std::string problem = RunWithFaults(
        [&](SyscallFaults& faults) { return RefuseEachCall(faults, folder + "/s", error); });
    if (problem.starts_with("SKIP ")) GTEST_SKIP() << problem.substr(5);
    EXPECT_EQ(problem, "") << strerrorname_np(error);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace lockstep::net
