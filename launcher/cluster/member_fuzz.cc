// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A coordinator that has proved to be the job's, and then says anything in any order to an agent
// with real RankProcesses. Each step of the input is one byte that chooses, and what that needs.
// Whatever comes: no crash, ranks of this node alone run, each once in a round, and none is left
// when the membership is over, or soon after the lease.
#include <stdint.h>
#include <stdlib.h>

#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "launcher/agent/rank_processes.h"
#include "launcher/cluster/fake_connection.h"
#include "launcher/cluster/fake_welcome.h"
#include "launcher/cluster/fuzz_bytes.h"
#include "launcher/cluster/member.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr int kNode = 1;
constexpr int kStepsMax = 200;
/// A lease may be granted for very long; a connection that ends is heard at once.
constexpr base::Duration kEnds = 60s;

void Require(bool holds) {
  if (!holds) ::abort();
}

class Agent final : public MemberDelegate, public RankHooks {
 public:
  Agent() {
    member_.Start(std::make_unique<FakeConnection>(
        far_, net::Peer{.name = "coordinator", .address = "hub:1", .own_host = "here"}));
  }
  ~Agent() override {
    ranks_.reset();
    loop_.RunFor(1ms);
  }

  void Run(FuzzBytes bytes) {
    for (int i = 0; i < kStepsMax && !bytes.empty(); ++i) Step(bytes);
    far_->End(base::UnavailableError("reset"));
    loop_.RunFor(kEnds);
    Require(is_over_);
    Require(processes_.KillableCount() == 0);
  }

  base::Result<NodeRanks*> OnWelcome(const proto::Welcome& welcome) override {
    Require(ranks_ == nullptr && !is_over_);
    // It becomes a name in a folder, and of sockets.
    const std::string& id = welcome.job_id();
    Require(!id.empty() && id.size() <= 70 && id.find_first_of("./=;\n\x1b") == id.npos);
    ranks_ =
        std::make_unique<RankProcesses>(RankProcesses::Deps{loop_, processes_, *this, member_});
    return ranks_.get();
  }
  void OnWorld(const proto::World& world) override {
    Require(ranks_count_ == 0 && world.nodes_size() > kNode);
    for (int node = 0; node < kNode; ++node) first_rank_ += world.nodes(node).slots();
    ranks_count_ = world.nodes(kNode).slots();
  }
  void OnOutputCredit(uint64_t) override {}
  void AnswerHere(const proto::ControlRequest&, OnAnswer answer) override { answer({}); }
  void OnJobOver(const proto::JobOver&) override { End(); }
  void OnMembershipLost(const base::Status&) override {
    End();
    Require(processes_.KillableCount() == 0);
  }

  base::Status BeginRound(base::Round, int) override {
    Require(processes_.KillableCount() == 0);
    started_.clear();
    return base::OkStatus();
  }
  base::Result<PreparedSpawn> Prepare(const elastic::RankProcess& process) override {
    Require(!is_over_);
    Require(process.rank.value() >= first_rank_ &&
            process.rank.value() < first_rank_ + ranks_count_);
    Require(started_.emplace(process.rank, process.incarnation).second);
    PreparedSpawn prepared;
    prepared.spec.name = "rank-" + std::to_string(started_.size() % 4);
    prepared.spec.arguments = {"train"};
    return prepared;
  }
  void OnRankSpawned(const elastic::RankProcess&, pid_t) override {}
  void OnRankSpawnFailed(const elastic::RankProcess&, const base::Status&) override {}
  RankEnd OnRankExited(const elastic::RankProcess&, pid_t, const process::Exit& exit) override {
    return {.exit = {exit.code, exit.signal, false, ""}, .evidence = {}};
  }
  void OnRanksSignalled(int signal, bool, const std::vector<elastic::RankProcess>&) override {
    Require(signal >= 1 && signal <= 64);
  }
  void OnStopRequested(base::Duration grace) override { Require(grace >= 0s && grace <= 24h); }
  void OnRoundGone() override {}
  void OnSurvivorsGoOn(base::Round, const std::vector<elastic::GoneRank>&) override {}

 private:
  static proto::Hello HelloOf(int node) {
    proto::Hello hello;
    hello.set_wanted_node(node);
    return hello;
  }
  void End() { Require(!std::exchange(is_over_, true)); }

  void Step(FuzzBytes& bytes) {
    switch (bytes.Byte() % 8) {
      case 0: return loop_.RunFor(1ms * (bytes.Byte() + 1) * 8);
      case 1: return far_->Say(bytes.Text());
      case 2: return SetProgram(bytes);
      default: return far_->Say(Message(bytes));
    }
  }
  void SetProgram(FuzzBytes& bytes) {
    process::SimProgram program;
    const uint8_t choice = bytes.Byte();
    if ((choice & 1) != 0) program.runs_for = 10ms * bytes.Byte();
    program.ignores_term = (choice & 2) != 0;
    program.leaves_descendants = (choice & 4) != 0;
    program.stuck = (choice & 24) == 24;
    if ((choice & 96) == 96) program.spawn = base::NotFoundError("no program");
    processes_.SetProgram("rank-" + std::to_string(bytes.Byte() % 4), program);
  }

  static proto::ToAgent Message(FuzzBytes& bytes) {
    proto::ToAgent message;
    switch (bytes.Byte() % 12) {
      case 0: FillWelcome(bytes, *message.mutable_welcome()); return message;
      case 1:
        message.mutable_world();
        for (int node = bytes.Byte() % 4; node >= 0; --node) {
          message.mutable_world()->add_nodes()->set_slots(
              bytes.Byte() % 8 == 7 ? static_cast<int>(bytes.Number()) : 1 + bytes.Byte() % 40);
        }
        return message;
      case 2: message.mutable_heartbeat_ack()->set_number(bytes.Byte()); return message;
      case 3: message.set_output_credit(static_cast<uint64_t>(bytes.Number())); return message;
      case 4: message.mutable_request()->set_id(bytes.Byte()); return message;
      case 5: message.mutable_reply()->set_id(bytes.Byte()); return message;
      case 6:
        if (bytes.Byte() % 4 == 0) message.mutable_job_over()->set_exit_code(1);
        if (bytes.Byte() % 16 == 0) message.mutable_refused();
        return message;
      default: FillCommand(bytes, *message.mutable_command()); return message;
    }
  }
  static void FillWelcome(FuzzBytes& bytes, proto::Welcome& welcome) {
    welcome = FakeWelcome();
    welcome.set_node(bytes.Byte() % 8 == 7 ? static_cast<int>(bytes.Number()) : kNode);
    const uint8_t choice = bytes.Byte();
    if (choice % 4 == 3) welcome.set_lease_ns(bytes.Number());
    if (choice / 4 % 8 == 7) welcome.set_job_id(std::string(bytes.Text()));
    if (choice / 32 == 7) welcome.add_arguments(std::string(bytes.Text()));
  }
  static void FillCommand(FuzzBytes& bytes, proto::RankCommand& command) {
    const uint32_t round = bytes.Byte() % 4;
    command.set_round(round);
    for (int count = bytes.Byte() % 4; count > 0; --count) {
      proto::RankProcess& process = *command.add_processes();
      process.set_rank(static_cast<int>(bytes.Number()));
      process.set_incarnation(bytes.Byte() % 8 == 7 ? bytes.Byte() : round);
    }
    switch (bytes.Byte() % 9) {
      case 0:
      case 1: command.mutable_start()->set_restart_count(bytes.Byte()); break;
      case 2: command.set_signal_leaders(static_cast<int>(bytes.Number())); break;
      case 3: command.set_signal_trees(static_cast<int>(bytes.Number())); break;
      case 4: command.set_kill_trees(bytes.Number()); break;
      case 5: command.set_cancel_starts(true); break;
      case 6: command.set_forward_signal(static_cast<int>(bytes.Number())); break;
      case 7: command.set_request_stop(bytes.Number()); break;
      default: command.set_end_round(true); break;
    }
  }

  event::SimLoop loop_;
  process::SimProcesses processes_{loop_, 1};
  const std::shared_ptr<FakeConnection::Far> far_ = std::make_shared<FakeConnection::Far>(loop_);
  std::unique_ptr<RankProcesses> ranks_;
  Member member_{{.hello = HelloOf(kNode), .kill_deadline = 2s}, {loop_, *this}};
  std::set<std::pair<base::Rank, base::Incarnation>> started_;
  int first_rank_ = 0;
  int ranks_count_ = 0;
  bool is_over_ = false;
};

}  // namespace
}  // namespace lockstep::launcher

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockstep::launcher::Agent agent;
  agent.Run(lockstep::launcher::FuzzBytes(data, size));
  return 0;
}
