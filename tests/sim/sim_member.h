// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_SIM_SIM_MEMBER_H_
#define LOCKSTEP_TESTS_SIM_SIM_MEMBER_H_

#include <memory>
#include <optional>
#include <string>

#include "launcher/cluster/member.h"
#include "runtime/net/endpoint.h"
#include "runtime/net/network.h"
#include "tests/sim/host_loop.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace lockstep::sim {

/// The agent of one node whose coordinator is elsewhere, as launcher/agent/member_agent.cc is, with
/// the real Member and pretended processes. Owned by the simulation.
///
///   made: connects --> member --JobOver, membership lost, Kill()--> ended
class SimMember final : public launcher::MemberDelegate {
 public:
  SimMember(World& world, base::NodeIndex node, net::Endpoint coordinator, const std::string& job);
  SimMember(const SimMember&) = delete;
  SimMember& operator=(const SimMember&) = delete;

  /// A signal to the agent: it asks the coordinator to stop the job.
  void AskToStop(int signal);
  /// The process that guards it is gone.
  void Abandon();
  /// SIGSTOP and SIGCONT to the agent alone. Only one that is connected.
  void Stop() { loop_.Stop(); }
  void Continue() { loop_.Continue(); }
  /// SIGKILL, or its machine: its ranks die with it.
  void Kill();

  base::NodeIndex node() const { return index_; }
  const std::string& host() const { return host_; }
  bool ended() const { return member_ == nullptr; }
  bool is_connected() const { return connected_; }  // it has been, at least
  bool was_killed() const { return killed_; }
  /// It is stopped, or has not caught up yet: its ranks go on, whatever it is told.
  bool is_behind() const { return loop_.is_behind(); }
  /// Once ended and not killed.
  std::optional<int> exit_status() const { return exit_status_; }
  /// What the job's end was, if it was told.
  const std::optional<proto::JobOver>& job_over() const { return job_over_; }
  int LivingCount() const { return node_.LivingCount(); }
  const base::Clock& clock() const { return loop_.clock(); }
  std::optional<elastic::ClockOffset::Estimate> clock_offset() const {
    return member_ == nullptr ? std::nullopt : member_->clock_offset();
  }

  base::Result<launcher::NodeRanks*> OnWelcome(const proto::Welcome& welcome) override;
  void OnWorld(const proto::World& world) override;
  void OnOutputCredit(uint64_t) override {}
  void AnswerHere(const proto::ControlRequest&, launcher::OnAnswer answer) override { answer({}); }
  void OnJobOver(const proto::JobOver& over) override;
  void OnMembershipLost(const base::Status& why) override;

 private:
  void OnConnected(base::Result<std::unique_ptr<net::Connection>> connection);
  /// From the loop, since what is destroyed may be calling.
  void EndSoon(int exit_status);
  void Destroy();

  World& world_;
  const base::NodeIndex index_;
  const std::string host_;
  HostLoop loop_;
  SimNode node_;
  const std::unique_ptr<net::Network> network_;
  std::unique_ptr<launcher::Member> member_;
  std::unique_ptr<net::Connecting> connecting_;
  event::Registration flush_;
  event::Registration end_;
  bool in_world_ = false;
  bool connected_ = false;
  bool killed_ = false;
  std::optional<int> exit_status_;
  std::optional<proto::JobOver> job_over_;
};

}  // namespace lockstep::sim

#endif  // LOCKSTEP_TESTS_SIM_SIM_MEMBER_H_
