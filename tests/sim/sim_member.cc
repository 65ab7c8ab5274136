// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_member.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "launcher/cluster/protocol.h"
#include "launcher/exit_codes.h"
#include "tests/sim/late_connection.h"
#include "tests/sim/stale_connection.h"

namespace lockstep::sim {

using namespace std::chrono_literals;

namespace {

proto::Hello HelloOf(base::NodeIndex node, const std::string& host, const std::string& job,
                     int slots) {
  proto::Hello hello;
  hello.set_protocol(launcher::kAgentProtocol);
  hello.set_lockstep_version("1");
  hello.set_job_id(job);
  hello.set_host(host);
  hello.set_boot_id("boot-of-" + host);
  hello.set_pid(1);
  hello.set_slots(slots);
  hello.set_wanted_node(node.value());
  hello.set_master_port(29500);
  return hello;
}

}  // namespace

SimMember::SimMember(World& world, base::NodeIndex node, net::Endpoint coordinator,
                     const std::string& job)
    : world_(world),
      index_(node),
      host_(HostOf(node, world.plan)),
      loop_(world.loop, world.plan.skews[static_cast<size_t>(node.value()) + 1]),
      node_(world, loop_, node, world.random.Next()),
      network_(world.net.Join(host_, {.job = kJob, .name = launcher::NodeName(node)})) {
  member_ = std::make_unique<launcher::Member>(
      launcher::Member::Config{
          .hello = HelloOf(node, host_, job, world.plan.slots[static_cast<size_t>(node.value())]),
          .kill_deadline = world.plan.gang.kill_deadline},
      launcher::Member::Deps{loop_, *this});
  connecting_ = network_->Connect({std::move(coordinator)}, 30s,
                                  [this](base::Result<std::unique_ptr<net::Connection>> made) {
                                    OnConnected(std::move(made));
                                  });
}

void SimMember::OnConnected(base::Result<std::unique_ptr<net::Connection>> connection) {
  if (!connection.ok()) return OnMembershipLost(connection.status());
  connected_ = true;
  member_->Start(std::make_unique<LateConnection>(
      std::make_unique<StaleConnection>(*std::move(connection), world_.random), loop_));
}

base::Result<launcher::NodeRanks*> SimMember::OnWelcome(const proto::Welcome& welcome) {
  EXPECT_EQ(welcome.node(), index_.value());
  EXPECT_EQ(welcome.job_id(), kJob);
  node_.Open(*member_);
  return &node_.ranks();
}

void SimMember::OnWorld(const proto::World& world) {
  EXPECT_FALSE(std::exchange(in_world_, true)) << "the world comes once";
  EXPECT_EQ(static_cast<size_t>(world.nodes_size()), world_.plan.slots.size());
}

void SimMember::AskToStop(int signal) {
  if (ended()) return;
  proto::ControlRequest request;
  request.mutable_stop()->set_signal(signal);
  member_->Ask(request, 5s, [this](const base::Result<proto::ControlReply>& reply) {
    if (!reply.ok() && member_ != nullptr) member_->Abandon(reply.status());
  });
}

void SimMember::Abandon() {
  if (!ended()) member_->Abandon(base::CancelledError("the process that guards it is gone"));
}

void SimMember::OnJobOver(const proto::JobOver& over) {
  world_.Note({20, index_.value(), over.exit_code()});
  EXPECT_FALSE(job_over_ || exit_status_) << "the job ends once";
  job_over_ = over;
  // Its ranks' output is being written.
  flush_ = loop_.After(world_.Upto(300ms), [this, status = over.exit_code()] {
    member_->SayGoodbye(2s, [this, status] { EndSoon(status); });
  });
}

void SimMember::OnMembershipLost(const base::Status& why) {
  world_.Note({21, index_.value(), static_cast<int64_t>(why.code())});
  EXPECT_FALSE(why.ok());
  EXPECT_FALSE(job_over_ || exit_status_) << "it is lost after its end";
  EndSoon(static_cast<int>(launcher::ExitCode::kAgentLost));
}

void SimMember::EndSoon(int exit_status) {
  exit_status_ = exit_status;
  end_ = loop_.After(0s, [this] {
    EXPECT_EQ(LivingCount(), 0) << "the agent on " << host_ << " leaves processes behind";
    Destroy();
  });
}

void SimMember::Kill() {
  if (ended()) return;
  killed_ = true;
  exit_status_.reset();
  Destroy();
}

void SimMember::Destroy() {
  flush_.reset();
  end_.reset();
  connecting_.reset();
  node_.Close();
  member_.reset();
}

}  // namespace lockstep::sim
