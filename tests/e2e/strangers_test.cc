// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A job of several nodes whose coordinator's port is found and attacked by others on the machine.
// One attack after the other, close up: runtime/net/hostile_peers_test.cc.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/net/blocking_client.h"
#include "runtime/proto/control.pb.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kListening = "0A";

/// Ports of 127.0.0.1 on which that process listens.
std::set<uint16_t> PortsOf(const std::string& pid) {
  std::set<std::string> sockets;
  std::error_code error;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/" + pid + "/fd", error)) {
    sockets.insert(std::filesystem::read_symlink(fd.path(), error).string());
  }
  std::set<uint16_t> ports;
  std::ifstream table("/proc/net/tcp");
  std::string line;
  while (std::getline(table, line)) {
    std::stringstream words(line);
    std::string word[10];
    for (std::string& one : word) words >> one;
    if (word[3] != kListening || !sockets.contains("socket:[" + word[9] + "]")) continue;
    const size_t colon = word[1].find(':');
    ports.insert(static_cast<uint16_t>(std::stoul(word[1].substr(colon + 1), nullptr, 16)));
  }
  return ports;
}

/// Waits for what poll() calls `events`.
bool WaitFor(int fd, short events, int milliseconds) {
  pollfd wait{.fd = fd, .events = events, .revents = 0};
  return ::poll(&wait, 1, milliseconds) == 1;
}

/// A connection that says that, and then nothing more; -1 when nobody took it.
int Intrude(uint16_t port, const std::string& words) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  (void)::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  int error = 0;
  socklen_t size = sizeof(error);
  if (!WaitFor(fd, POLLOUT, 5000) || ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 ||
      error != 0) {
    ::close(fd);
    return -1;
  }
  (void)::send(fd, words.data(), words.size(), MSG_NOSIGNAL);
  return fd;
}

/// Whether the other side ends it within `milliseconds`, whatever it says before.
bool IsTurnedAway(int fd, int milliseconds) {
  char bytes[256];
  while (WaitFor(fd, POLLIN, milliseconds)) {
    const ssize_t count = ::recv(fd, bytes, sizeof(bytes), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return true;
  }
  return false;
}

class StrangersTest : public RunFixture {
 protected:
  /// Where the agent of the one job answers verbs; "" when there is none.
  std::string ControlSocket() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch_.path())) {
      if (entry.path().extension() == ".sock") return entry.path();
    }
    return "";
  }
};

/// A request to stop whose reason is the bytes of `text`, which need not be UTF-8.
proto::ControlRequest StopBecause(std::string_view text) {
  proto::ControlRequest request;
  request.set_version(1);
  // As a field that this protocol does not know, whose bytes nobody looks at: a StopRequest.
  std::string stop("\x1a", 1);
  stop.append(1, static_cast<char>(text.size())).append(text);
  request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(3, stop);
  return request;
}

TEST_F(StrangersTest, AJobDoesNotCareForWhoeverComesToItsPort) {
  MakeGo();
  Command command(RunScript({"--simulate-hosts", "--nnodes", "3", "-np", "3"},
                            "echo agent $PPID of $RANK; read word <go; echo done"),
                  Options());
  std::string agent;
  ASSERT_TRUE(command.WaitForOutput(
      [&](const std::string& out, const std::string&) {
        const size_t at = out.find("[0.0] agent ");
        if (at == std::string::npos || CountOf(out, " of ") < 3) return false;
        agent = out.substr(at + 12, out.find(' ', at + 12) - at - 12);
        return true;
      },
      20s));
  const std::set<uint16_t> ports = PortsOf(agent);
  ASSERT_FALSE(ports.empty()) << "the coordinator listens nowhere";

  // For longer than a lease lasts.
  std::map<uint16_t, std::vector<int>> noisy;  // by port: what they say is no handshake
  std::vector<int> quiet;
  const auto until = std::chrono::steady_clock::now() + 3s;
  while (std::chrono::steady_clock::now() < until) {
    for (const uint16_t port : ports) {
      for (const std::string& words :
           {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(700, '\x16'),
            std::string("lockstep/1\n\x04\0\0\0abcd", 19)})
        noisy[port].push_back(Intrude(port, words));
      for (const std::string& words : {std::string(), std::string("\x16\x03\x01\x02\x00", 5)})
        quiet.push_back(Intrude(port, words));
    }
    std::this_thread::sleep_for(20ms);  // tidy:allow sleep: some hundred strangers a second
  }
  for (const auto& [port, intruders] : noisy) {
    EXPECT_GT(intruders.size(), 20u);
    for (const int fd : intruders) {
      EXPECT_TRUE(fd >= 0 && IsTurnedAway(fd, 5000)) << "port " << port;
      ::close(fd);
    }
  }
  EXPECT_TRUE(LetGo());  // all of them: what one does not read ends for the others
  const Outcome outcome = command.Wait(20s);
  for (const int fd : quiet) {
    EXPECT_GE(fd, 0);
    ::close(fd);
  }

  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(CountOf(outcome.out, "done"), 3) << outcome.out;
  EXPECT_THAT(outcome.err, Not(HasSubstr("lost")));
}

TEST_F(StrangersTest, ATextThatIsNoUtf8IsRefusedWithoutALineOnTheTerminal) {
  MakeGo();
  Command command(RunScript({"-np", "1"}, "echo up; read word <go"), Options());
  ASSERT_TRUE(command.WaitForOutput(
      [](const std::string& out, const std::string&) { return Contains(out, "up"); }, 20s));
  const base::RealClock clock;

  proto::ControlReply reply;
  EXPECT_THAT(
      net::BlockingCall(ControlSocket(), StopBecause("\xff"), &reply, clock.Now() + 20s, clock),
      IsOk());
  EXPECT_THAT(reply.error().message(), HasSubstr("not a control request"));
  EXPECT_TRUE(LetGo());
  const Outcome outcome = command.Wait(20s);

  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
}

}  // namespace
}  // namespace lockstep::e2e
