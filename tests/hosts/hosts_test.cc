// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Hosts without sshd, which also live in Bazel's sandbox; with it: hosts_ssh_test.cc.
#include "tests/hosts/hosts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/command.h"
#include "tests/hosts/delay_proxy.h"

namespace lockstep::hosts {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::UniqueFd;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

Address Parse(const std::string& text, uint16_t port) {
  Address address;
  if (text.find(':') == std::string::npos) {
    auto* four = reinterpret_cast<sockaddr_in*>(&address.storage);
    *four = {};
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    ::inet_pton(AF_INET, text.c_str(), &four->sin_addr);
    address.size = sizeof *four;
  } else {
    auto* six = reinterpret_cast<sockaddr_in6*>(&address.storage);
    *six = {};
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    ::inet_pton(AF_INET6, text.c_str(), &six->sin6_addr);
    address.size = sizeof *six;
  }
  return address;
}

constexpr uint16_t kPort = 5000;  // any: the hosts' networks are ours alone

class HostsTest : public ::testing::Test {
 protected:
  void SetUp() override { Make({.count = 3, .sshd = false}); }

  void Make(Hosts::Options options) {
    hosts_.reset();
    auto hosts = Hosts::Create(std::move(options));
    if (!hosts.ok() && Hosts::Unsupported(hosts.status())) GTEST_SKIP() << hosts.status();
    ASSERT_THAT(hosts, IsOk());
    hosts_ = std::move(hosts).value();
  }

  /// A socket of ours in a host's network, where it stays: only its making needs the thread.
  UniqueFd SocketOn(int host, int family, int type) {
    UniqueFd socket;
    std::thread([&] {
      const UniqueFd network = hosts_->OpenNetwork(host);
      ASSERT_EQ(::setns(network.get(), CLONE_NEWNET), 0) << errno;
      socket.reset(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    }).join();
    return socket;
  }

  UniqueFd BoundOn(int host, const std::string& address, int type = SOCK_STREAM) {
    const Address at = Parse(address, kPort);
    UniqueFd socket = SocketOn(host, at.family(), type);
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    EXPECT_EQ(::bind(socket.get(), at.get(), at.size), 0) << address << ": " << errno;
    EXPECT_TRUE(type != SOCK_STREAM || ::listen(socket.get(), 16) == 0) << errno;
    return socket;
  }

  /// 0, the errno of connect, or ETIMEDOUT after `at_most`.
  int ConnectError(int from, const std::string& address, std::chrono::milliseconds at_most = 10s,
                   UniqueFd* connected = nullptr, uint16_t port = kPort) {
    const Address to = Parse(address, port);
    UniqueFd socket = SocketOn(from, to.family(), SOCK_STREAM);
    if (::connect(socket.get(), to.get(), to.size) != 0 && errno != EINPROGRESS) return errno;
    pollfd ready{socket.get(), POLLOUT, 0};
    if (::poll(&ready, 1, static_cast<int>(at_most.count())) <= 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (connected != nullptr) *connected = std::move(socket);
    return error;
  }

  /// How many of `count` datagrams arrive; the last ones are waited for.
  int Delivered(const UniqueFd& from, const UniqueFd& to, const std::string& address, int count,
                std::chrono::milliseconds patience = 300ms) {
    const Address there = Parse(address, kPort);
    int delivered = 0;
    char byte = 'x';
    const auto drain = [&] {
      while (::recv(to.get(), &byte, 1, 0) == 1) ++delivered;
    };
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(::sendto(from.get(), &byte, 1, 0, there.get(), there.size), 1) << errno;
      drain();
    }
    pollfd ready{to.get(), POLLIN, 0};
    while (delivered < count && ::poll(&ready, 1, static_cast<int>(patience.count())) > 0) drain();
    return delivered;
  }

  /// How long `bytes` take from h0 to h1 over the data network.
  SteadyClock::duration TransferTime(size_t bytes) {
    const UniqueFd listener = BoundOn(1, Hosts::Ipv4(1, Nic::kData));
    UniqueFd sender;
    EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kData), 10s, &sender), 0);
    const UniqueFd receiver(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const auto start = SteadyClock::now();
    std::string block(16384, 'x');
    std::thread feed([&] {
      for (size_t sent = 0; sent < bytes;) {
        pollfd ready{sender.get(), POLLOUT, 0};
        if (::poll(&ready, 1, 20'000) <= 0) return;
        const ssize_t count =
            ::send(sender.get(), block.data(), std::min(block.size(), bytes - sent), 0);
        if (count > 0) sent += static_cast<size_t>(count);
      }
    });
    std::string room(65536, '\0');
    size_t received = 0;
    pollfd ready{receiver.get(), POLLIN, 0};
    while (received < bytes && ::poll(&ready, 1, 20'000) > 0) {
      const ssize_t count = ::recv(receiver.get(), room.data(), room.size(), 0);
      if (count <= 0) break;
      received += static_cast<size_t>(count);
    }
    feed.join();
    EXPECT_EQ(received, bytes);
    return SteadyClock::now() - start;
  }

  std::string Carrier(int host, Nic nic) {
    return hosts_->Run(host, {"cat", "/sys/class/net/" + NicName(nic) + "/carrier"}).out;
  }

  std::unique_ptr<Hosts> hosts_;
};

// --- What a host is ---

TEST_F(HostsTest, EachHasItsOwnNameProcessesAndFiles) {
  for (int host = 0; host < 3; ++host)
    EXPECT_EQ(hosts_->Run(host, {"hostname"}).out, Hosts::Name(host) + "\n");

  const e2e::Outcome wrote = hosts_->Run(
      0,
      {"sh", "-c", "touch /tmp/mine /run/mine /dev/shm/mine /root/mine && ps -e -o pid= | wc -l"});
  EXPECT_EQ(wrote.status, 0) << wrote.err;
  EXPECT_LE(std::stoi(wrote.out), 4) << "pid 1, sh, ps, wc";
  for (const std::string folder : {"/tmp", "/run", "/dev/shm", "/root"}) {
    EXPECT_EQ(hosts_->Run(0, {"test", "-e", folder + "/mine"}).status, 0) << folder;
    EXPECT_EQ(hosts_->Run(1, {"test", "-e", folder + "/mine"}).status, 1) << folder;
    EXPECT_TRUE(fs::exists(hosts_->Root(0) + folder + "/mine"));
    EXPECT_FALSE(fs::exists(folder + "/mine"));
  }
}

TEST_F(HostsTest, TheMachineIsSeenAndCannotBeChanged) {
  const std::string self = fs::read_symlink("/proc/self/exe");

  EXPECT_EQ(hosts_->Run(1, {"test", "-x", self}).status, 0) << self;
  const std::string beside = self + ".new";
  const e2e::Outcome touched = hosts_->Run(1, {"touch", "/usr/new", beside});
  EXPECT_EQ(touched.status, 1);
  EXPECT_THAT(touched.err,
              AllOf(HasSubstr("/usr/new': Read-only"), HasSubstr(beside + "': Read-only")));
}

TEST_F(HostsTest, FoldersAreVisibleOrSharedWhenAsked) {
  const e2e::Scratch visible, shared;
  visible.Write("read", "this");
  Make({.count = 2, .sshd = false, .visible = {visible.path()}, .shared = {shared.path()}});
  if (hosts_ == nullptr) return;

  EXPECT_EQ(hosts_->Run(0, {"cat", visible.path() + "/read"}).out, "this");
  EXPECT_NE(hosts_->Run(0, {"touch", visible.path() + "/write"}).status, 0);
  EXPECT_EQ(hosts_->Run(0, {"touch", shared.path() + "/write"}).status, 0);
  EXPECT_EQ(hosts_->Run(1, {"test", "-e", shared.path() + "/write"}).status, 0);
  EXPECT_TRUE(fs::exists(shared.path() + "/write"));
}

TEST_F(HostsTest, EveryPairConnectsOnBothNicsInBothFamilies) {
  for (int to = 0; to < 3; ++to) {
    for (Nic nic : kNics) {
      for (const std::string& address : {Hosts::Ipv4(to, nic), Hosts::Ipv6(to, nic)}) {
        const UniqueFd listener = BoundOn(to, address);
        for (int from = kController; from < 3; ++from)
          EXPECT_EQ(ConnectError(from, address), 0) << from << " to " << address;
      }
    }
  }
}

TEST_F(HostsTest, NamesResolveOnHostsAndController) {
  for (int host : {kController, 2}) {
    const e2e::Outcome got = hosts_->Run(host, {"getent", "hosts", "h1", "h1-data", "h1-data6"});
    EXPECT_THAT(got.out,
                AllOf(HasSubstr("10.78.0.2"), HasSubstr("10.77.0.2"), HasSubstr("fd77::2")));
  }
}

TEST_F(HostsTest, CountsOutsideTheBoundsAreRefused) {
  EXPECT_THAT(Hosts::Create({.count = 0}), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(Hosts::Create({.count = Hosts::kCountMax + 1}),
              StatusIs(Code::kInvalidArgument, HasSubstr("65; 1 to 64")));
}

TEST_F(HostsTest, AsManyAsTheLimitBoot) {
  Make({.count = Hosts::kCountMax, .sshd = false});
  if (hosts_ == nullptr) return;

  const UniqueFd listener = BoundOn(63, Hosts::Ipv4(63, Nic::kData));
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(63, Nic::kData)), 0);
}

// --- Programs ---

TEST_F(HostsTest, ProgramHasItsInputEnvironmentDirectoryAndStatus) {
  ProgramOptions options;
  options.environment["WORD"] = "tree";
  options.directory = "/usr";
  options.input = "given";

  const e2e::Outcome outcome =
      hosts_->Run(0, {"sh", "-c", "cat; echo $WORD $PWD; echo bad >&2; exit 7"}, options);

  EXPECT_EQ(outcome.status, 7);
  EXPECT_EQ(outcome.out, "giventree /usr\n");
  EXPECT_EQ(outcome.err, "bad\n");
}

TEST_F(HostsTest, ProgramThatDoesNotExistIsNamed) {
  EXPECT_THAT(hosts_->Spawn(0, {"/no/such"}), StatusIs(Code::kNotFound, HasSubstr("/no/such")));
  EXPECT_EQ(hosts_->Run(0, {"no-such"}).status, 127);
}

TEST_F(HostsTest, ProgramPastItsDeadlineIsKilled) {
  EXPECT_EQ(hosts_->Run(0, {"sleep", "1000"}, {}, 50ms).status, -1);
  EXPECT_EQ(hosts_->CountProcesses(0), 0);
}

TEST_F(HostsTest, SpawnedProgramHasAPidOfOursAndIsCountedOnItsHost) {
  auto program = hosts_->Spawn(1, {"sh", "-c", "echo ready; sleep 1000 & wait"});
  ASSERT_THAT(program, IsOk());
  ASSERT_TRUE((*program)->WaitForOutput(
      [](const std::string& out, const std::string&) { return out == "ready\n"; }, 10s));

  EXPECT_TRUE(e2e::Eventually([&] { return hosts_->CountProcesses(1) == 2; }, 10s));
  EXPECT_EQ(hosts_->CountProcesses(0), 0);
  EXPECT_THAT(e2e::ReadFile("/proc/" + std::to_string((*program)->pid()) + "/cmdline"),
              HasSubstr("echo ready"));

  (*program)->Signal(SIGTERM);
  EXPECT_EQ((*program)->Wait(10s).status, 128 + SIGTERM);
  EXPECT_EQ(hosts_->CountProcesses(1), 1) << "the orphan lives on with pid 1";
}

TEST_F(HostsTest, WallClockOfAProgramIsSkewedByFaketime) {
  const std::string library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
  if (::access(library.c_str(), R_OK) != 0) GTEST_SKIP() << library << " is missing";
  ProgramOptions options;
  options.environment = {{"LD_PRELOAD", library}, {"FAKETIME", "+1h"}};

  const std::string skewed = hosts_->Run(0, {"date", "+%s"}, options).out;

  const long ahead = std::atol(skewed.c_str()) - ::time(nullptr);
  EXPECT_GE(ahead, 3590);
  EXPECT_LE(ahead, 3600);
}

// --- Network ---

TEST_F(HostsTest, CutHostSeesItsCarrierGoOnThatNicAlone) {
  const UniqueFd data = BoundOn(1, Hosts::Ipv4(1, Nic::kData));
  const UniqueFd mgmt = BoundOn(1, Hosts::Ipv4(1, Nic::kMgmt));
  EXPECT_EQ(Carrier(1, Nic::kData), "1\n");

  ASSERT_THAT(hosts_->Cut(1, Nics::kData), IsOk());
  EXPECT_EQ(Carrier(1, Nic::kData), "0\n");
  EXPECT_EQ(Carrier(1, Nic::kMgmt), "1\n");
  EXPECT_NE(ConnectError(0, Hosts::Ipv4(1, Nic::kData), 200ms), 0);
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kMgmt)), 0);

  ASSERT_THAT(hosts_->Heal(1), IsOk());
  EXPECT_EQ(Carrier(1, Nic::kData), "1\n");
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kData)), 0);
}

TEST_F(HostsTest, DroppedHostIsSilent) {
  const UniqueFd four = BoundOn(1, Hosts::Ipv4(1, Nic::kData));
  const UniqueFd six = BoundOn(1, Hosts::Ipv6(1, Nic::kMgmt));
  const UniqueFd other = BoundOn(2, Hosts::Ipv4(2, Nic::kData));

  ASSERT_THAT(hosts_->Drop(1), IsOk());
  for (int from : {kController, 0}) {
    EXPECT_EQ(ConnectError(from, Hosts::Ipv4(1, Nic::kData), 200ms), ETIMEDOUT);
    EXPECT_EQ(ConnectError(from, Hosts::Ipv6(1, Nic::kMgmt), 200ms), ETIMEDOUT);
  }
  EXPECT_EQ(ConnectError(1, Hosts::Ipv4(2, Nic::kData), 200ms), ETIMEDOUT);
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(2, Nic::kData)), 0);
  EXPECT_EQ(Carrier(1, Nic::kData), "1\n") << "and its link is up";

  ASSERT_THAT(hosts_->Heal(), IsOk());
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kData)), 0);
  EXPECT_EQ(ConnectError(0, Hosts::Ipv6(1, Nic::kMgmt)), 0);
}

TEST_F(HostsTest, SenderOfADroppedHostNeverLearnsOfIt) {
  // A dead neighbour entry would end the attempt with EHOSTUNREACH after 3 s.
  ASSERT_THAT(hosts_->Drop(1), IsOk());

  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kData), 3500ms), ETIMEDOUT);
}

TEST_F(HostsTest, OneWayDropLetsTheOtherWayPass) {
  const UniqueFd zero = BoundOn(0, Hosts::Ipv4(0, Nic::kData), SOCK_DGRAM);
  const UniqueFd one = BoundOn(1, Hosts::Ipv4(1, Nic::kData), SOCK_DGRAM);
  const UniqueFd two = BoundOn(2, Hosts::Ipv4(2, Nic::kData), SOCK_DGRAM);

  ASSERT_THAT(hosts_->DropOneWay({.from = 0, .to = 1}), IsOk());
  EXPECT_EQ(Delivered(zero, one, Hosts::Ipv4(1, Nic::kData), 5, 100ms), 0);
  EXPECT_EQ(Delivered(one, zero, Hosts::Ipv4(0, Nic::kData), 5), 5);
  EXPECT_EQ(Delivered(zero, two, Hosts::Ipv4(2, Nic::kData), 5), 5);

  ASSERT_THAT(hosts_->Heal(0), IsOk());
  EXPECT_EQ(Delivered(zero, one, Hosts::Ipv4(1, Nic::kData), 5), 5);
}

TEST_F(HostsTest, OneWayDropTowardsTheControllerAndAwayFromIt) {
  const UniqueFd controller =
      BoundOn(kController, Hosts::Ipv4(kController, Nic::kData), SOCK_DGRAM);
  const UniqueFd one = BoundOn(1, Hosts::Ipv4(1, Nic::kData), SOCK_DGRAM);

  ASSERT_THAT(hosts_->DropOneWay({.from = 1, .to = kController}), IsOk());
  EXPECT_EQ(Delivered(one, controller, Hosts::Ipv4(kController, Nic::kData), 3, 100ms), 0);
  EXPECT_EQ(Delivered(controller, one, Hosts::Ipv4(1, Nic::kData), 3), 3);

  ASSERT_THAT(hosts_->Heal(), IsOk());
  ASSERT_THAT(hosts_->DropOneWay({.from = kController, .to = 1}), IsOk());
  EXPECT_EQ(Delivered(one, controller, Hosts::Ipv4(kController, Nic::kData), 3), 3);
  EXPECT_EQ(Delivered(controller, one, Hosts::Ipv4(1, Nic::kData), 3, 100ms), 0);
}

TEST_F(HostsTest, PairThatIsApartStillReachesTheThird) {
  std::vector<UniqueFd> listeners;
  listeners.reserve(3);
  for (int host = 0; host < 3; ++host)
    listeners.push_back(BoundOn(host, Hosts::Ipv4(host, Nic::kData)));

  ASSERT_THAT(hosts_->DropBetween(0, 1, Nics::kData), IsOk());

  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kData), 200ms), ETIMEDOUT);
  EXPECT_EQ(ConnectError(1, Hosts::Ipv4(0, Nic::kData), 200ms), ETIMEDOUT);
  for (int host : {0, 1}) EXPECT_EQ(ConnectError(host, Hosts::Ipv4(2, Nic::kData)), 0);
}

TEST_F(HostsTest, LossyHostLosesAboutThatMuch) {
  const UniqueFd zero = BoundOn(0, Hosts::Ipv4(0, Nic::kData), SOCK_DGRAM);
  const UniqueFd one = BoundOn(1, Hosts::Ipv4(1, Nic::kData), SOCK_DGRAM);
  EXPECT_EQ(Delivered(zero, one, Hosts::Ipv4(1, Nic::kData), 200), 200);

  // 1,000 datagrams, 300 lost; 14.5 is one standard deviation.
  ASSERT_THAT(hosts_->Lossy(1, 30), IsOk());
  EXPECT_THAT(Delivered(zero, one, Hosts::Ipv4(1, Nic::kData), 1000), AllOf(Gt(600), Lt(800)));
  EXPECT_THAT(Delivered(one, zero, Hosts::Ipv4(0, Nic::kData), 1000), AllOf(Gt(600), Lt(800)));

  ASSERT_THAT(hosts_->Lossy(1, 0), IsOk());
  EXPECT_EQ(Delivered(zero, one, Hosts::Ipv4(1, Nic::kData), 200), 200);
  EXPECT_THAT(hosts_->Lossy(1, 101), StatusIs(Code::kInvalidArgument));
}

TEST_F(HostsTest, SlowHostPassesNoMoreThanItsRate) {
  constexpr size_t kBytes = 2'000'000;
  const auto free = TransferTime(kBytes);
  ASSERT_THAT(hosts_->Slow(1, 40), IsOk());
  const auto slow = TransferTime(kBytes);
  ASSERT_THAT(hosts_->Slow(1, 20), IsOk());
  const auto slower = TransferTime(kBytes);
  ASSERT_THAT(hosts_->Heal(1), IsOk());
  const auto healed = TransferTime(kBytes);

  // 0.4 s and 0.8 s by the rate alone; bursts of 50 KB and lost frames move that a little.
  EXPECT_GT(slow, 350ms);
  EXPECT_GT(slower, 720ms);
  EXPECT_LT(free, slow / 2);
  EXPECT_LT(healed, slow / 2);
  EXPECT_THAT(hosts_->Slow(1, 0), StatusIs(Code::kInvalidArgument));
}

TEST_F(HostsTest, DelayProxyStandsOnAHost) {
  const UniqueFd listener = BoundOn(1, Hosts::Ipv4(1, Nic::kData));
  auto proxy = DelayProxy::Start({.target_address = Hosts::Ipv4(1, Nic::kData),
                                  .target_port = kPort,
                                  .delay = 40ms,
                                  .network = hosts_->OpenNetwork(0)});
  ASSERT_THAT(proxy, IsOk());
  UniqueFd client;
  ASSERT_EQ(ConnectError(0, "127.0.0.1", 10s, &client, (*proxy)->port()), 0);
  pollfd ready{listener.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
  const UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));

  const auto start = SteadyClock::now();
  ASSERT_EQ(::send(client.get(), "x", 1, 0), 1);
  ready = {server.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
  EXPECT_GE(SteadyClock::now() - start, 40ms);
  EXPECT_EQ(ConnectError(2, Hosts::Ipv4(0, Nic::kData), 10s, nullptr, (*proxy)->port()),
            ECONNREFUSED)
      << "it listens on the host's loopback alone";
}

// --- Power ---

TEST_F(HostsTest, KilledHostLosesItsProcessesAndFilesAndBootsAnew) {
  auto program = hosts_->Spawn(1, {"sleep", "1000"});
  ASSERT_THAT(program, IsOk());
  ASSERT_EQ(hosts_->Run(1, {"touch", "/tmp/mine"}).status, 0);

  ASSERT_THAT(hosts_->Kill(1), IsOk());
  EXPECT_FALSE(hosts_->up(1));
  EXPECT_EQ((*program)->Wait(10s).status, 128 + SIGKILL);
  EXPECT_EQ(hosts_->CountProcesses(1), 0);
  EXPECT_THAT(hosts_->Spawn(1, {"true"}), StatusIs(Code::kFailedPrecondition, HasSubstr("down")));
  EXPECT_NE(ConnectError(0, Hosts::Ipv4(1, Nic::kData), 200ms), 0);
  EXPECT_THAT(hosts_->Kill(1), IsOk());

  ASSERT_THAT(hosts_->Boot(1), IsOk());
  EXPECT_EQ(hosts_->Run(1, {"hostname"}).out, "h1\n");
  EXPECT_EQ(hosts_->Run(1, {"test", "-e", "/tmp/mine"}).status, 1);
  const UniqueFd listener = BoundOn(1, Hosts::Ipv4(1, Nic::kData));
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kData)), 0);
  EXPECT_THAT(hosts_->Boot(1), StatusIs(Code::kFailedPrecondition));
}

TEST_F(HostsTest, FaultsOutliveAReboot) {
  ASSERT_THAT(hosts_->Cut(1, Nics::kData), IsOk());
  ASSERT_THAT(hosts_->Drop(1, Nics::kMgmt), IsOk());
  ASSERT_THAT(hosts_->Slow(1, 100), IsOk());
  ASSERT_THAT(hosts_->Kill(1), IsOk());
  ASSERT_THAT(hosts_->Boot(1), IsOk());

  EXPECT_EQ(Carrier(1, Nic::kData), "0\n");
  const UniqueFd listener = BoundOn(1, Hosts::Ipv4(1, Nic::kMgmt));
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kMgmt), 200ms), ETIMEDOUT);
  EXPECT_THAT(hosts_->Run(1, {"tc", "qdisc", "show", "dev", "mgmt0"}).out, HasSubstr("tbf"));

  ASSERT_THAT(hosts_->Heal(), IsOk());
  EXPECT_EQ(Carrier(1, Nic::kData), "1\n");
  EXPECT_EQ(ConnectError(0, Hosts::Ipv4(1, Nic::kMgmt)), 0);
  EXPECT_THAT(hosts_->Run(1, {"tc", "qdisc", "show", "dev", "mgmt0"}).out, Not(HasSubstr("tbf")));
}

TEST_F(HostsTest, KitMayEndBeforeItsPrograms) {
  auto on_host = hosts_->Spawn(1, {"sleep", "1000"});
  auto on_controller = hosts_->Spawn(kController, {"sleep", "1000"});
  ASSERT_THAT(on_host, IsOk());
  ASSERT_THAT(on_controller, IsOk());

  const auto start = SteadyClock::now();
  hosts_.reset();

  EXPECT_LT(SteadyClock::now() - start, 5s);
  EXPECT_EQ((*on_host)->Wait(10s).status, 128 + SIGKILL);
  EXPECT_EQ((*on_controller)->Wait(10s).status, 128 + SIGKILL);
}

// --- Nothing is left ---

std::string LinkOf(const std::string& path) {
  std::error_code error;
  return fs::read_symlink(path, error).string();
}

/// Processes in one of the namespaces, descriptors on them, mounts of them.
std::vector<std::string> UsersOf(const std::set<std::string>& namespaces) {
  std::vector<std::string> users;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string process = entry.path();
    if (process.find_first_of("0123456789") == std::string::npos) continue;
    for (const char* kind : {"/ns/net", "/ns/pid", "/ns/mnt"}) {
      if (namespaces.contains(LinkOf(process + kind))) users.push_back(process + kind);
    }
    for (const auto& fd : fs::directory_iterator(process + "/fd", error)) {
      if (namespaces.contains(LinkOf(fd.path()))) users.push_back(fd.path());
    }
  }
  for (const std::string& name : namespaces) {
    if (e2e::ReadFile("/proc/self/mountinfo").find(name) != std::string::npos)
      users.push_back("a mount of " + name);
  }
  return users;
}

std::set<std::string> NamespacesBelow(pid_t kit) {
  std::set<std::string> namespaces;
  for (pid_t outer : e2e::ChildrenOf(kit)) {
    std::vector<pid_t> processes = e2e::ChildrenOf(outer);
    processes.push_back(outer);
    for (pid_t process : processes) {
      for (const char* kind : {"net", "pid", "mnt"}) {
        const std::string link = LinkOf("/proc/" + std::to_string(process) + "/ns/" + kind);
        // The reaper of a program is not in its pid namespace but in ours.
        if (!link.empty() && link != LinkOf(std::string("/proc/self/ns/") + kind))
          namespaces.insert(link);
      }
    }
  }
  return namespaces;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream all(text);
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

class HostkitTest : public HostsTest {
 protected:
  void SetUp() override {
    Make({.count = 1, .sshd = false});  // skips where there can be none
    hosts_.reset();
  }

  e2e::Command Start(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& wrapper = {}) {
    e2e::Command::Options options;
    options.environment = scratch_.Environment();
    options.wrapper = wrapper;
    std::vector<std::string> words = {e2e::Runfile("tests/hosts/hostkit")};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return e2e::Command(words, options);
  }

  const e2e::Scratch scratch_;
};

TEST_F(HostkitTest, NothingIsLeftWhenItsOwnerIsKilled) {
  const std::string mounts = e2e::ReadFile("/proc/self/mountinfo");
  const std::string interfaces = e2e::ReadFile("/proc/self/net/dev_mcast");
  e2e::Command kit = Start({"run", "2", "--no-sshd", "--", "sh", "-c", "echo up; sleep 1000"});
  ASSERT_TRUE(kit.WaitForOutput(
      [](const std::string& out, const std::string&) { return out == "up\n"; }, 20s));
  const std::set<std::string> namespaces = NamespacesBelow(kit.pid());
  ASSERT_EQ(namespaces.size(), 9u) << "net, pid and mnt of two hosts and the controller";
  EXPECT_FALSE(UsersOf(namespaces).empty());

  kit.Signal(SIGKILL);

  std::vector<std::string> left;
  EXPECT_TRUE(e2e::Eventually([&] { return (left = UsersOf(namespaces)).empty(); }, 10s))
      << ::testing::PrintToString(left);
  EXPECT_EQ(scratch_.LeftoversAfter(10s), std::vector<std::string>());
  EXPECT_EQ(e2e::ReadFile("/proc/self/mountinfo"), mounts);
  EXPECT_EQ(e2e::ReadFile("/proc/self/net/dev_mcast"), interfaces);
}

TEST_F(HostkitTest, CommandKnowsTheHostsAndGivesTheStatus) {
  e2e::Command kit = Start({"run", "2", "--no-sshd", "--", "sh", "-c",
                            "echo $LOCKSTEP_HOSTS; hostname; ip -o -4 addr show br-data; exit 5"});
  const e2e::Outcome outcome = kit.Wait(20s);

  EXPECT_EQ(outcome.status, 5) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("h0,h1\ncontroller\n"), HasSubstr("10.77.0.254/24")));
  EXPECT_THAT(outcome.err, HasSubstr("h1  data0 10.77.0.2 fd77::2  mgmt0 10.78.0.2 fd78::2"));
}

TEST_F(HostkitTest, KitsSideBySideDoNotMeet) {
  e2e::Command first = Start({"run", "1", "--no-sshd", "--", "sh", "-c", "echo up; sleep 1000"});
  ASSERT_TRUE(first.WaitForOutput(
      [](const std::string& out, const std::string&) { return out == "up\n"; }, 20s));

  e2e::Command second = Start({"run", "1", "--no-sshd", "--", "true"});

  EXPECT_EQ(second.Wait(20s).status, 0);
}

TEST_F(HostkitTest, WithoutThePrivilegeItSaysWhatIsNeeded) {
  e2e::Command kit =
      Start({"run", "1", "--no-sshd", "--", "true"}, {"setpriv", "--bounding-set", "-sys_admin"});
  const e2e::Outcome outcome = kit.Wait(20s);

  EXPECT_EQ(outcome.status, 3);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("EPERM"), HasSubstr("CAP_SYS_ADMIN")));
}

// A command after the other, as a person types them, and what the hosts see then. A port on which
// nobody listens refuses (1), or does not answer (124).
TEST_F(HostkitTest, CommandsBreakAndMendTheHosts) {
  const auto knock = [](const std::string& seconds) {
    return "run h0 timeout " + seconds + " bash -c ': </dev/tcp/h1/9' 2>/dev/null; echo knock $?\n";
  };
  const std::string answers = knock("10");
  const std::string silent = knock("1");
  const std::string carriers =
      "run h1 cat /sys/class/net/data0/carrier /sys/class/net/mgmt0/carrier\n";
  const std::string commands =
      "run controller echo $LOCKSTEP_HOSTS\n" + answers + "drop h1\n" + silent + "heal\n" +
      answers + "oneway h0 h1\n" + silent + "heal h1\nlossy h1 100 mgmt\n" + silent + "heal\n" +
      "cut h1 data\n" + carriers + "heal h1\n" + carriers + "slow h1 10\n" +
      "kill h1\nrun h1 hostname\nboot h1\nrun h1 hostname\ndelay h0 h1 9 20\n" +
      "# not these:\n\nkill h7\ncut h1 both\nslow h1\nbreak h1\nrun h0 exit 3\n";
  e2e::Command::Options options;
  options.environment = scratch_.Environment();
  options.wrapper = {"/bin/sh", "-c", "exec \"$@\" <" + scratch_.Write("commands", commands), "sh"};

  const e2e::Outcome outcome =
      e2e::Command({e2e::Runfile("tests/hosts/hostkit"), "control", "2", "--no-sshd"}, options)
          .Wait(60s);

  EXPECT_EQ(outcome.status, 1) << outcome.err;
  EXPECT_THAT(LinesOf(outcome.out),
              ElementsAre("h0,h1", "ok", "knock 1", "ok",                  //
                          "ok", "knock 124", "ok", "ok", "knock 1", "ok",  // drop, heal
                          "ok", "knock 124", "ok", "ok",                   // oneway, heal
                          "ok", "knock 124", "ok", "ok",                   // lossy, heal
                          "ok", "0", "1", "ok", "ok", "1", "1", "ok",      // cut, heal
                          "ok",                                            // slow
                          "ok", HasSubstr("failed: "), "ok", "h1", "ok",   // kill, boot
                          StartsWith("port "), "ok",                       // delay
                          HasSubstr("no host \"h7\""), HasSubstr("no network \"both\""),
                          HasSubstr("slow needs a number"), HasSubstr("no command \"break\""),
                          HasSubstr("exit status 3")));
}

TEST_F(HostkitTest, WrongUsageIsExplained) {
  e2e::Command kit = Start({"walk", "1"});

  const e2e::Outcome outcome = kit.Wait(20s);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("usage: hostkit run N"));
}

}  // namespace
}  // namespace lockstep::hosts
