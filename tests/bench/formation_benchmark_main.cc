// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A job of 1,000 nodes as its coordinator sees it. The coordinator and the members are those of the
// launcher, over TCP and TLS on loopback, each member with a certificate and a connection of its
// own; what is left out are the agents' processes, files and ranks. The coordinator has a thread
// and a loop to itself, all members share another one. They come as agents that are started on
// other hosts do: 32 at a time.
//
// Formation is from the first attempt to connect until the last member knows the world. Heartbeats
// are counted in processor time of the coordinator's thread, which a busy machine does not change
// much. Then a rank of each node meets all the others, as the members of a group over TCP do: from
// the first card until the last node has the table of all.
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "launcher/cluster/coordinator.h"
#include "launcher/cluster/fake_welcome.h"
#include "launcher/cluster/member.h"
#include "launcher/cluster/protocol.h"
#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/net/job_ca.h"
#include "runtime/net/tcp_network.h"
#include "runtime/net/tls_transport.h"
#include "tests/bench/command.h"
#include "tests/bench/contest.h"
#include "tests/bench/launchers.h"

namespace lockstep::bench {
namespace {

using namespace std::chrono_literals;
using base::Duration;
using launcher::Coordinator;
using launcher::Member;

constexpr double kFormationMs = 1000;
constexpr double kCorePercent = 10;
constexpr double kMeetingMs = 2000;
constexpr auto kPatience = 60s;
constexpr int kAtOnce = 32;         // as many as a launcher starts
constexpr size_t kCardBytes = 100;  // an address, two names of hosts, and what has a fixed size

template <class T>
T Must(base::Result<T> made) {
  LOCKSTEP_CHECK(made.ok(), made.status().ToString().c_str());
  return *std::move(made);
}

Duration ThreadTime() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

class NoRanks final : public launcher::NodeRanks {
 public:
  void Spawn(base::Round, int, const Processes&) override {}
  void CancelSpawns() override {}
  void SignalLeaders(int, const Processes&) override {}
  void SignalTrees(int, const Processes&) override {}
  void KillTrees(const Processes&, Duration) override {}
  void ForwardSignal(int) override {}
  void RequestStop(Duration) override {}
  void EndRound() override {}
  void GoOn(base::Round, const std::vector<elastic::GoneRank>&) override {}
};

class NoNews final : public launcher::NodeNews {
 public:
  void OnSpawned(const elastic::RankProcess&, pid_t) override {}
  void OnSpawnFailed(const elastic::RankProcess&, const base::Status&) override {}
  void OnExited(const elastic::RankProcess&, launcher::RankEnd) override {}
  void OnGone(const elastic::RankProcess&) override {}
  void OnUnkillable(const elastic::RankProcess&, const base::Status&) override {}
  void OnProgress(const elastic::RankProcess&, int64_t) override {}
  void OnAccused(const elastic::RankProcess&, const elastic::GoneRank&) override {}
};

/// The coordinator on a thread of its own.
class Head final : public launcher::CoordinatorDelegate {
 public:
  Head(int nodes, net::NodeCredentials credentials)
      : nodes_(nodes), credentials_(std::move(credentials)), thread_([this] { Run(); }) {
    ready_.wait(false);
  }
  ~Head() override {
    loop_->Quit();
    thread_.join();
  }

  const net::Endpoint& endpoint() const { return endpoint_; }
  /// What its thread has computed so far.
  Duration cpu_time() {
    std::atomic<int64_t> time{-1};
    loop_->Post([&time] {
      time = ThreadTime().count();
      time.notify_one();
    });
    time.wait(-1);
    return Duration(time);
  }
  int lost() const { return lost_; }

  proto::Welcome MakeWelcome() const override { return launcher::FakeWelcome(); }
  void OnFormed(const std::vector<launcher::JobNode>& nodes) override {
    proto::World world;
    for (const launcher::JobNode& node : nodes) {
      proto::WorldNode& wire = *world.add_nodes();
      wire.set_host(node.facts.host);
      wire.set_slots(node.facts.slots);
    }
    coordinator_->BeginRound(base::Round(0));
    coordinator_->SendWorld(world);
  }
  void OnFormationFailed(const base::Status& why) override {
    LOCKSTEP_CHECK(false, why.ToString().c_str());
  }
  void OnNodeLost(base::NodeIndex, const base::Status&) override { ++lost_; }
  void OnOutput(base::NodeIndex, const proto::Output&) override {}
  void Answer(const proto::ControlRequest&, launcher::OnAnswer answer) override { answer({}); }

 private:
  void Run() {
    loop_ = Must(event::EpollLoop::Create(clock_));
    net::TcpNetwork network(Must(net::TlsTransport::Create(credentials_)), {}, *loop_);
    coordinator_ = std::make_unique<Coordinator>(
        Coordinator::Config{.job_id = "j",
                            .membership = {.node_count = nodes_, .hosts_may_repeat = true}},
        Coordinator::Deps{*loop_, news_, *this});
    // As JobCluster does.
    const auto listener =
        Must(network.Listen({.host = "127.0.0.1",
                             .connections_max = static_cast<size_t>(2 * nodes_ + 64),
                             .handshakes_max = Coordinator::HandshakesMax(nodes_)},
                            [this](std::unique_ptr<net::Connection> connection) {
                              coordinator_->Accept(std::move(connection));
                            }));
    endpoint_ = listener->endpoint();
    coordinator_->Begin();
    ready_ = true;
    ready_.notify_one();
    loop_->Run();
    coordinator_.reset();
  }

  const int nodes_;
  const net::NodeCredentials credentials_;
  const base::RealClock clock_;
  NoNews news_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<Coordinator> coordinator_;
  net::Endpoint endpoint_;
  std::atomic<int> lost_{0};
  std::atomic<bool> ready_{false};
  std::thread thread_;
};

/// Of all members.
struct Progress {
  std::function<void()> on_joined;
  int in_world = 0;
  int met = 0;
  int lost = 0;
};

/// One member and its way to the coordinator.
struct Node final : launcher::MemberDelegate {
  Node(int index, const net::NodeCredentials& credentials, event::Loop& loop, Progress& progress)
      : network(Must(net::TlsTransport::Create(credentials)), {}, loop), progress_(progress) {
    proto::Hello hello;
    hello.set_protocol(launcher::kAgentProtocol);
    hello.set_job_id("j");
    hello.set_host("node-" + std::to_string(index));
    hello.set_boot_id("boot");
    hello.set_slots(8);
    hello.set_wanted_node(index);
    // Of a busy machine: the other members take their turns on this thread.
    member =
        std::make_unique<Member>(Member::Config{.hello = std::move(hello), .welcome_timeout = 60s},
                                 Member::Deps{loop, *this});
  }
  void Join(const net::Endpoint& coordinator) {
    connecting = network.Connect({coordinator}, kPatience,
                                 [this](base::Result<std::unique_ptr<net::Connection>> made) {
                                   member->Start(Must(std::move(made)));
                                 });
  }

  base::Result<launcher::NodeRanks*> OnWelcome(const proto::Welcome&) override {
    progress_.on_joined();
    return &ranks;
  }
  void OnWorld(const proto::World&) override { ++progress_.in_world; }
  void OnCards(const proto::CardTable& table) override {
    const bool complete = std::none_of(table.cards().begin(), table.cards().end(),
                                       [](const std::string& card) { return card.empty(); });
    if (!table.has_error() && complete) ++progress_.met;
  }
  /// As the agent of a node with one rank does.
  void Meet(int rank, int rank_count) {
    proto::Cards cards;
    cards.set_group(1);
    cards.set_member_count(rank_count);
    cards.add_come()->set_member(rank);
    cards.mutable_come(0)->set_content(std::string(kCardBytes, 'c'));
    member->SendCards(cards);
  }
  void OnOutputCredit(uint64_t) override {}
  void AnswerHere(const proto::ControlRequest&, launcher::OnAnswer answer) override { answer({}); }
  void OnJobOver(const proto::JobOver&) override {}
  void OnMembershipLost(const base::Status&) override { ++progress_.lost; }

  NoRanks ranks;
  net::TcpNetwork network;
  std::unique_ptr<Member> member;
  std::unique_ptr<net::Connecting> connecting;

 private:
  Progress& progress_;
};

struct Figures {
  double certificates_ms = 0;  // of processor time
  double formation_ms = 0;
  double formation_cpu_ms = 0;  // of the coordinator's thread
  double core_percent = 0;      // of the same, by heartbeats
  double meeting_ms = 0;
  int lost = 0;
};

std::optional<Figures> Measure(int nodes, Duration heartbeats_for) {
  const base::RealClock clock;
  const Duration issuing = ThreadTime();
  const auto ca = Must(net::JobCa::Create("j", clock));
  std::vector<net::NodeCredentials> credentials;
  for (int node = 0; node < nodes; ++node) {
    credentials.push_back(Must(ca->Issue(launcher::NodeName(base::NodeIndex(node)))));
  }
  const Duration issued = ThreadTime() - issuing;
  Head head(nodes, Must(ca->Issue(std::string(launcher::kCoordinatorName))));
  const auto loop = Must(event::EpollLoop::Create(clock));
  Progress progress;
  std::vector<std::unique_ptr<Node>> members;
  for (int node = 0; node < nodes; ++node) {
    members.push_back(
        std::make_unique<Node>(node, credentials[static_cast<size_t>(node)], *loop, progress));
  }

  Figures figures{.certificates_ms = Milliseconds(issued)};
  const Duration cpu_before = head.cpu_time();
  const base::SteadyTime begun = clock.Now();
  int next = 0;
  progress.on_joined = [&] {
    if (next < nodes) members[static_cast<size_t>(next++)]->Join(head.endpoint());
  };
  for (int i = 0; i < kAtOnce; ++i) progress.on_joined();
  event::Registration look;
  const std::function<void()> check = [&] {
    if (progress.in_world == nodes || clock.Now() - begun > kPatience) return loop->Quit();
    look = loop->After(1ms, check);
  };
  look = loop->After(1ms, check);
  loop->Run();
  if (progress.in_world < nodes) return std::nullopt;
  figures.formation_ms = Milliseconds(clock.Now() - begun);
  const Duration cpu_formed = head.cpu_time();
  figures.formation_cpu_ms = Milliseconds(cpu_formed - cpu_before);

  const base::SteadyTime meeting_begun = clock.Now();
  for (int node = 0; node < nodes; ++node) members[static_cast<size_t>(node)]->Meet(node, nodes);
  const std::function<void()> check_met = [&] {
    if (progress.met == nodes || clock.Now() - meeting_begun > kPatience) return loop->Quit();
    look = loop->After(1ms, check_met);
  };
  look = loop->After(1ms, check_met);
  loop->Run();
  if (progress.met < nodes) return std::nullopt;
  figures.meeting_ms = Milliseconds(clock.Now() - meeting_begun);

  const Duration cpu_met = head.cpu_time();
  const base::SteadyTime beats_begun = clock.Now();
  look = loop->After(heartbeats_for, [&loop] { loop->Quit(); });
  loop->Run();
  const Duration took = clock.Now() - beats_begun;
  figures.core_percent = 100.0 * static_cast<double>((head.cpu_time() - cpu_met).count()) /
                         static_cast<double>(took.count());
  figures.lost = head.lost() + progress.lost;
  return figures;
}

void RaiseFileLimit() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

int Main(int argc, char** argv) {
  const Setting setting(argc, argv);
  Report report(setting.quick());
  report.PrintMachine();
  RaiseFileLimit();
  const int nodes = setting.quick() ? 100 : 1000;
  Standing certificates{.name = "computed before that: keys and certificates for all, ms"};
  Standing formation{.name = "from connecting until all know the world, ms"};
  Standing computing{.name = "of that the coordinator computed, ms"};
  Standing meeting{.name = "a rank of each meets all, ms"};
  Standing heartbeats{.name = "heartbeats (250 ms), per cent of a core"};
  int lost = 0;
  for (int run = 0; run < setting.Runs(7, 1); ++run) {
    const std::optional<Figures> figures = Measure(nodes, setting.quick() ? 1s : 10s);
    if (!figures) {
      ++formation.failures;
      continue;
    }
    certificates.figures.push_back(figures->certificates_ms);
    formation.figures.push_back(figures->formation_ms);
    computing.figures.push_back(figures->formation_cpu_ms);
    meeting.figures.push_back(figures->meeting_ms);
    heartbeats.figures.push_back(figures->core_percent);
    lost += figures->lost;
  }
  for (Standing* standing : {&formation, &computing, &meeting, &heartbeats, &certificates}) {
    std::sort(standing->figures.begin(), standing->figures.end());
  }
  const std::string title = "A coordinator and " + std::to_string(nodes) + " members over TLS";
  report.PrintTable(title, "as named", {formation, computing, meeting, heartbeats, certificates});
  report.FirmBar("all are there, and none is lost", formation.failures == 0 && lost == 0);
  report.Bar(std::to_string(nodes) + " nodes formed in " + FormatFigure(formation.median()) +
                 " ms <= " + FormatFigure(kFormationMs) + " ms",
             formation.median() <= kFormationMs);
  report.Bar("ranks of " + std::to_string(nodes) + " nodes met in " +
                 FormatFigure(meeting.median()) + " ms <= " + FormatFigure(kMeetingMs) + " ms",
             meeting.median() <= kMeetingMs);
  report.Bar("heartbeats of " + std::to_string(nodes) + " nodes " +
                 FormatFigure(heartbeats.median()) +
                 " % of a core <= " + FormatFigure(kCorePercent) + " %",
             heartbeats.median() <= kCorePercent);
  return report.exit_status();
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) { return lockstep::bench::Main(argc, argv); }
