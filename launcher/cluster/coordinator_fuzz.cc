// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Agents that have proved to be of the job, and then say anything in any order, to a job of three
// nodes of which the second is honest. Each step of the input is one byte that chooses, and what
// that needs. Whatever comes: no crash, the gang hears of ordered processes of the speaker's own
// node alone, no more output than there was credit for, and the honest node stays a member.
#include <stdint.h>
#include <stdlib.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "launcher/cluster/coordinator.h"
#include "launcher/cluster/fake_connection.h"
#include "launcher/cluster/fuzz_bytes.h"
#include "launcher/cluster/protocol.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr int kNodes = 3;
constexpr int kHonest = 1;
constexpr int kSlots = 2;
constexpr uint64_t kCredit = 1 << 20;
constexpr size_t kPeersMax = 16;
constexpr int kStepsMax = 200;

void Require(bool holds) {
  if (!holds) ::abort();
}

class Job final : public CoordinatorDelegate, public NodeNews {
 public:
  using Far = std::shared_ptr<FakeConnection::Far>;

  Job() {
    coordinator_.Begin();
    honest_ = Connect(kHonest);
    proto::FromAgent hello;
    FillHello(*hello.mutable_hello(), kHonest);
    honest_->Say(hello);
  }

  void Run(FuzzBytes bytes) {
    for (int i = 0; i < kStepsMax && !bytes.empty(); ++i) {
      Step(bytes);
      if (i % 8 == 0) Beat();
    }
    if (!over_) coordinator_.Finish({}, [this] { over_ = true; });
    loop_.RunFor(10s);
    Require(over_);
  }

  proto::Welcome MakeWelcome() const override { return {}; }
  void OnFormed(const std::vector<JobNode>& nodes) override {
    Require(nodes.size() == kNodes && nodes_.empty());
    nodes_ = nodes;
    for (const JobNode& node : nodes) {
      Require(!node.facts.addresses.empty() && node.facts.slots >= 0 && node.facts.slots <= 4096);
    }
    coordinator_.SendWorld({});
    for (int node = 0; node < kNodes; ++node) {
      coordinator_.SendOutputCredit(base::NodeIndex(node), kCredit);
      if (node != kHonest) Spawn(node);
    }
  }
  void OnFormationFailed(const base::Status&) override {}
  void OnNodeLost(base::NodeIndex node, const base::Status&) override {
    Require(node.value() != kHonest);
  }
  void OnOutput(base::NodeIndex node, const proto::Output& output) override {
    Require(node.value() != kHonest);
    shown_[node] += output.standard_output().size() + output.standard_error().size();
    Require(shown_[node] <= kCredit + (256 << 10));
  }
  void Answer(const proto::ControlRequest&, OnAnswer answer) override { answer({}); }

  void OnSpawned(const elastic::RankProcess& process, pid_t) override { Hear(process); }
  void OnSpawnFailed(const elastic::RankProcess& process, const base::Status&) override {
    Hear(process);
  }
  void OnExited(const elastic::RankProcess& process, RankEnd end) override {
    Hear(process);
    Require(end.exit.exit_code >= 0 && end.exit.exit_code <= 255 && end.exit.signal >= 0 &&
            end.exit.signal <= 64);
  }
  void OnGone(const elastic::RankProcess& process) override { Hear(process); }
  void OnUnkillable(const elastic::RankProcess& process, const base::Status&) override {
    Hear(process);
  }
  void OnProgress(const elastic::RankProcess& process, int64_t) override { Hear(process); }
  void OnAccused(const elastic::RankProcess& by, const elastic::GoneRank&) override { Hear(by); }

 private:
  static elastic::RankProcess ProcessOf(int node, int rank) {
    return {base::Rank(node * kSlots + rank), base::Incarnation(0)};
  }
  void Spawn(int node) {
    NodeRanks::Processes processes;
    for (int rank = 0; rank < kSlots; ++rank) processes.push_back(ProcessOf(node, rank));
    nodes_[static_cast<size_t>(node)].ranks->Spawn(base::Round(0), 0, processes);
  }
  void Kill(int node) {
    if (nodes_.empty()) return;
    NodeRanks::Processes processes;
    for (int rank = 0; rank < kSlots; ++rank) processes.push_back(ProcessOf(node, rank));
    nodes_[static_cast<size_t>(node)].ranks->KillTrees(processes, 1s);
  }
  /// Of a node that the speaker is.
  void Hear(const elastic::RankProcess& process) {
    const int node = process.rank.value() / kSlots;
    Require(process.incarnation == base::Incarnation(0) && process.rank.value() >= 0);
    Require(node < kNodes && node != kHonest && (speaker_ < 0 || node == speaker_));
  }

  Far Connect(int node) {
    auto far = std::make_shared<FakeConnection::Far>(loop_);
    coordinator_.Accept(std::make_unique<FakeConnection>(
        far,
        net::Peer{.name = NodeName(base::NodeIndex(node)), .address = "x:1", .own_host = "h"}));
    return far;
  }
  static void FillHello(proto::Hello& hello, int node) {
    hello.set_protocol(kAgentProtocol);
    hello.set_job_id("job");
    hello.set_host("host-" + std::to_string(node));
    hello.set_slots(kSlots);
    hello.set_wanted_node(node);
    hello.add_addresses("10.0.0.1");
  }
  void Beat() {
    proto::FromAgent message;
    message.mutable_heartbeat();
    honest_->Say(message);
    Require(over_ || !honest_->closed());
  }

  void Step(FuzzBytes& bytes) {
    const uint8_t choice = bytes.Byte() % 12;
    if (choice == 0 && peers_.size() < kPeersMax) {
      const int node = bytes.Byte() % 2 == 0 ? 0 : 2;
      peers_.emplace_back(node, Connect(node));
      return;
    }
    if (choice == 1) return Pass(1ms * (bytes.Byte() + 1) * 8);
    if (choice == 2) return Kill(bytes.Byte() % 2 == 0 ? 0 : 2);
    if (peers_.empty()) return;
    const auto& [node, far] = peers_[bytes.Byte() % peers_.size()];
    speaker_ = node;
    if (choice == 3) {
      far->End(bytes.Byte() % 2 == 0 ? base::OkStatus() : base::UnavailableError("reset"));
    } else if (choice == 4) {
      far->Say(bytes.Text());
    } else {
      far->Say(Message(bytes, node));
    }
    speaker_ = -1;
  }
  /// In which the honest node goes on.
  void Pass(base::Duration time) {
    for (; time > 0ms; time -= 500ms) {
      Beat();
      loop_.RunFor(std::min<base::Duration>(time, 500ms));
    }
  }

  static proto::FromAgent Message(FuzzBytes& bytes, int node) {
    proto::FromAgent message;
    switch (bytes.Byte() % 9) {
      case 0: {
        FillHello(*message.mutable_hello(), node);
        if (bytes.Byte() % 2 == 0) return message;
        message.mutable_hello()->set_slots(static_cast<int>(bytes.Number()));
        message.mutable_hello()->set_wanted_node(static_cast<int>(bytes.Number()));
        message.mutable_hello()->set_master_port(static_cast<int>(bytes.Number()));
        for (const char c : bytes.Text()) {
          message.mutable_hello()->mutable_host()->push_back(static_cast<char>(c & 0x7f));
        }
        if (bytes.Byte() % 2 == 0) message.mutable_hello()->clear_addresses();
        return message;
      }
      case 1: message.mutable_heartbeat()->set_number(bytes.Byte()); return message;
      case 2:
      case 3: AddNews(bytes, *message.mutable_rank_news()); return message;
      case 4: {
        const auto size = static_cast<size_t>(bytes.Byte()) << 12;
        message.mutable_output()->set_standard_output(std::string(size, 'x'));
        message.mutable_output()->set_dropped_lines(static_cast<uint64_t>(bytes.Number()));
        return message;
      }
      case 5:
        message.mutable_request()->mutable_request()->mutable_stop()->set_signal(
            static_cast<int>(bytes.Number()));
        return message;
      case 6: message.mutable_reply()->set_id(bytes.Byte()); return message;
      case 8: AddCards(bytes, *message.mutable_cards()); return message;
      default: message.mutable_goodbye(); return message;
    }
  }
  static void AddCards(FuzzBytes& bytes, proto::Cards& cards) {
    cards.set_round(bytes.Byte() % 3);
    cards.set_group(bytes.Byte() % 4);
    cards.set_member_count(static_cast<int>(bytes.Number()));
    for (int count = bytes.Byte() % 4; count > 0; --count) {
      proto::Card& card = *cards.add_come();
      card.set_member(static_cast<int>(bytes.Number()));
      card.set_content(std::string(bytes.Text()));
    }
    for (int count = bytes.Byte() % 3; count > 0; --count)
      cards.add_given_up(static_cast<int>(bytes.Number()));
    for (int count = bytes.Byte() % 3; count > 0; --count)
      cards.add_gone(static_cast<int>(bytes.Number()));
  }
  static void AddNews(FuzzBytes& bytes, proto::RankNews& news) {
    news.set_round(bytes.Byte() % 3);
    for (int count = bytes.Byte() % 4; count >= 0; --count) {
      proto::RankChange& change = *news.add_changes();
      change.set_rank(static_cast<int>(bytes.Number()) % 8);
      change.set_incarnation(bytes.Byte() % 2);
      switch (bytes.Byte() % 6) {
        case 0: change.mutable_runs()->set_pid(bytes.Number()); break;
        case 1: change.mutable_not_started()->set_code(bytes.Byte()); break;
        case 2:
          change.mutable_ended()->set_exit_code(static_cast<int>(bytes.Number()));
          change.mutable_ended()->set_signal(static_cast<int>(bytes.Number()));
          break;
        case 3: change.set_gone(true); break;
        case 4: change.mutable_unkillable(); break;
        default: change.set_step(bytes.Number()); break;
      }
    }
  }

  event::SimLoop loop_;
  std::vector<JobNode> nodes_;
  std::map<base::NodeIndex, size_t> shown_;
  int speaker_ = -1;  // whose message is being read
  bool over_ = false;
  Coordinator coordinator_{
      {.job_id = "job", .membership = {.node_count = kNodes, .join_deadline = 1h}, .lease = {}},
      {loop_, *this, *this}};
  Far honest_;
  std::vector<std::pair<int, Far>> peers_;
};

}  // namespace
}  // namespace lockstep::launcher

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockstep::launcher::Job job;
  job.Run(lockstep::launcher::FuzzBytes(data, size));
  return 0;
}
