// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/sim/stranger.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "launcher/cluster/protocol.h"

namespace lockstep::sim {

using namespace std::chrono_literals;

namespace {

constexpr const char* kHost = "stranger";
constexpr int kNoSuchNode = 99;

}  // namespace

Stranger::Stranger(World& world, net::Endpoint coordinator)
    : world_(world),
      network_(world.net.Join(kHost, {.job = world.Chance(80) ? kJob : "another job",
                                      .name = launcher::NodeName(base::NodeIndex(kNoSuchNode))})) {
  connecting_ = network_->Connect({std::move(coordinator)}, 10s,
                                  [this](base::Result<std::unique_ptr<net::Connection>> made) {
                                    if (made.ok()) Speak(*std::move(made));
                                  });
}

void Stranger::Speak(std::unique_ptr<net::Connection> made) {
  connection_ = std::move(made);
  connection_->Start({.on_message =
                          [this](std::string_view payload) {
                            proto::ToAgent message;
                            (void)message.ParseFromArray(payload.data(),
                                                         static_cast<int>(payload.size()));
                            was_let_in_ |= !message.has_refused();
                          },
                      .on_closed = nullptr});
  const int count = static_cast<int>(world_.random.Below(4));
  for (int i = 0; i <= count; ++i) {
    (void)connection_->Send(world_.Chance(50) ? FalseHello() : FalseNews());
  }
}

/// Each has one thing that is not the job's.
proto::FromAgent Stranger::FalseHello() {
  proto::FromAgent message;
  proto::Hello& hello = *message.mutable_hello();
  hello.set_protocol(launcher::kAgentProtocol);
  hello.set_lockstep_version("1");
  hello.set_job_id(kJob);
  hello.set_host(kHost);
  hello.set_boot_id("its-boot");
  hello.set_slots(1);
  hello.set_wanted_node(kNoSuchNode);
  hello.add_addresses(kHost);
  switch (world_.random.Below(3)) {
    case 0: hello.set_protocol(launcher::kAgentProtocol + 1); break;
    case 1: hello.set_job_id("job-0"); break;
    default: hello.set_wanted_node(static_cast<int>(world_.random.Below(6))); break;
  }
  return message;
}

proto::FromAgent Stranger::FalseNews() {
  proto::FromAgent message;
  if (world_.Chance(20)) {
    message.mutable_goodbye();
    return message;
  }
  proto::RankNews& news = *message.mutable_rank_news();
  news.set_round(static_cast<uint32_t>(world_.random.Below(3)));
  for (int rank = 0; rank < world_.plan.rank_count(); ++rank) {
    proto::RankChange& change = *news.add_changes();
    change.set_rank(rank);
    change.set_incarnation(news.round());
    if (world_.Chance(50)) {
      change.set_gone(true);
    } else {
      change.mutable_ended()->set_exit_code(99);
    }
  }
  return message;
}

}  // namespace lockstep::sim
