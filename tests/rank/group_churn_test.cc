// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Groups that come and go by the thousand leave nothing in the process, nor in its agent, which is
// a thread of it here.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/group.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/wide/local_wide.h"
#include "collectives/testing/footprint.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"
#include "tests/rank/agent_in_process.h"

namespace lockstep::rank {
namespace {

using base::testing::IsOk;
using collectives::Group;
using collectives::Reduction;
using collectives::testing::Footprint;
using collectives::testing::ThreadGang;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Once what is about to end has.
void ExpectNothingLeft(const Footprint& before) {
  EXPECT_EQ(Footprint::ExcessLeft(before), "")
      << before.ToString() << ", then " << Footprint::Read().ToString();
}

/// `make(rank)` makes that member of the next group, in its thread.
using Make = std::function<base::Result<std::shared_ptr<Group>>(int rank)>;

/// Makes and drops `count` groups, one after the other, each with an op.
void MakeAndDrop(int size, int count, const Make& make) {
  std::vector<std::thread> members;
  for (int rank = 0; rank < size; ++rank) {
    members.emplace_back([=] {
      for (int i = 0; i < count; ++i) {
        const auto group = make(rank);
        ASSERT_THAT(group, IsOk()) << "group " << i;
        float one = 1;
        ASSERT_THAT((*group)->AllReduce({&one, 1}, {&one, 1}, Reduction::kSum)->Wait(), IsOk());
        ASSERT_EQ(one, static_cast<float>(size));
      }
    });
  }
  for (std::thread& member : members) member.join();
}

void ExpectThatNothingIsLeftOf(int count, int size, const Make& make) {
  MakeAndDrop(size, count / 10, make);  // what is kept for good is there
  const Footprint before = Footprint::Settled();
  MakeAndDrop(size, count, make);
  ExpectNothingLeft(before);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kInMemory = 300;
constexpr int kOverTcp = 100;
constexpr int kOnMachines = 50;
#else
constexpr int kInMemory = 10'000;
constexpr int kOverTcp = 500;
constexpr int kOnMachines = 200;
#endif
constexpr int kInSoak = 10'000;

/// `count`, and many where LOCKSTEP_SOAK is set.
int Many(int count) { return ::getenv("LOCKSTEP_SOAK") == nullptr ? count : kInSoak; }

void ExpectThatNothingIsLeftInTheAgentsMemory(int count, int size) {
  AgentInProcess agent;
  std::vector<std::unique_ptr<Session>> sessions;
  for (int rank = 0; rank < size; ++rank) sessions.push_back(agent.Join(rank, size));
  std::vector<std::shared_ptr<Group>> last(static_cast<size_t>(size));
  ExpectThatNothingIsLeftOf(count, size, [&](int rank) -> base::Result<std::shared_ptr<Group>> {
    const auto member = static_cast<size_t>(rank);
    // The session keeps this one, and gives it out again.
    ASSIGN_OR_RETURN(const auto world, sessions[member]->WorldGroup());
    ASSIGN_OR_RETURN(auto group, world->Duplicate());
    EXPECT_NE(group, last[member]) << "a group of its own";
    last[member] = group;
    return group;
  });
}

TEST(GroupChurnTest, InTheAgentsMemory) { ExpectThatNothingIsLeftInTheAgentsMemory(kInMemory, 2); }

TEST(GroupChurnTest, OfFourMembersInTheAgentsMemory) {
  ExpectThatNothingIsLeftInTheAgentsMemory(kInMemory / 20, 4);
}

void ExpectThatNothingIsLeftOver(std::shared_ptr<collectives::BackendMaker> maker, int count,
                                 int size) {
  ThreadGang gang(size, std::move(maker));
  ExpectThatNothingIsLeftOf(count, size, [&gang](int rank) -> base::Result<std::shared_ptr<Group>> {
    ASSIGN_OR_RETURN(auto group, gang.Join(rank));
    return std::shared_ptr<Group>(std::move(group));
  });
}

TEST(GroupChurnTest, OverTcp) {
  ExpectThatNothingIsLeftOver(collectives::testing::LocalTcpMaker(), Many(kOverTcp), 3);
}

TEST(GroupChurnTest, OnSeveralMachines) {
  const std::vector<int> machines = {0, 0, 1};
  ExpectThatNothingIsLeftOver(std::make_shared<collectives::testing::LocalWideMaker>(machines),
                              Many(kOnMachines), 3);
}

// The agent keeps the memory of a group that did not form until its round ends, for who comes late.
TEST(GroupChurnTest, WhatNeverFormedIsGoneWithTheRound) {
  constexpr int kTries = 50;
  AgentInProcess agent;
  const auto session = agent.Join(0, 2);
  EXPECT_FALSE(session->WorldGroup(milliseconds(20)).ok());
  const Footprint before = Footprint::Settled();
  int had_memory = 0;  // on a busy machine the agent may answer too late
  for (int i = 0; i < kTries; ++i) {
    const base::Status missing = session->WorldGroup(milliseconds(20)).status();
    had_memory += missing.code() == base::Code::kDeadlineExceeded ? 1 : 0;
  }
  const Footprint tried = Footprint::Settled();
  EXPECT_GT(had_memory, 0);
  EXPECT_GE(tried.descriptors, before.descriptors + had_memory);
  EXPECT_LE(tried.descriptors, before.descriptors + kTries);

  agent.EndRound();

  ExpectNothingLeft(before);
}

}  // namespace
}  // namespace lockstep::rank
