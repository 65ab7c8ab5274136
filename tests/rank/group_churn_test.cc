// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Groups that come and go by the thousand leave nothing in the process, nor in its agent, which is a
// thread of it here.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/group.h"
#include "collectives/host/tcp/local_tcp.h"
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

// The allocator keeps some of what was freed, and the thread library some stacks.
constexpr int64_t kMappingsOfOthers = 16;
constexpr int64_t kResidentKibOfOthers = 8 << 10;

/// Once threads and connections that are about to end have.
Footprint Settled(int64_t descriptors) {
  const auto limit = std::chrono::steady_clock::now() + seconds(20);
  Footprint now = Footprint::Read();
  while (now.descriptors > descriptors && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
    now = Footprint::Read();
  }
  return now;
}

void ExpectNothingLeft(const Footprint& before) {
  const Footprint after = Settled(before.descriptors);
  SCOPED_TRACE(before.ToString() + ", then " + after.ToString());
  EXPECT_LE(after.descriptors, before.descriptors);
  EXPECT_LE(after.threads, before.threads);
  EXPECT_LE(after.files_in_dev_shm, before.files_in_dev_shm);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LE(after.mappings, before.mappings + kMappingsOfOthers);
  EXPECT_LE(after.resident_kib, before.resident_kib + kResidentKibOfOthers);
#endif
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
  const Footprint before = Footprint::Read();
  MakeAndDrop(size, count, make);
  ExpectNothingLeft(before);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kInMemory = 300;
constexpr int kOverTcp = 100;
#else
constexpr int kInMemory = 10'000;
constexpr int kOverTcp = 500;
#endif

void ExpectThatNothingIsLeftInTheAgentsMemory(int count, int size) {
  AgentInProcess agent;
  std::vector<std::unique_ptr<Session>> sessions;
  for (int rank = 0; rank < size; ++rank) sessions.push_back(agent.Join(rank, size));
  ExpectThatNothingIsLeftOf(count, size, [&sessions](int rank) {
    return sessions[static_cast<size_t>(rank)]->WorldGroup();
  });
}

TEST(GroupChurnTest, InTheAgentsMemory) { ExpectThatNothingIsLeftInTheAgentsMemory(kInMemory, 2); }

TEST(GroupChurnTest, OfFourMembersInTheAgentsMemory) {
  ExpectThatNothingIsLeftInTheAgentsMemory(kInMemory / 20, 4);
}

TEST(GroupChurnTest, OverTcp) {
  ThreadGang gang(3, collectives::testing::LocalTcpMaker());
  ExpectThatNothingIsLeftOf(kOverTcp, 3, [&gang](int rank) -> base::Result<std::shared_ptr<Group>> {
    ASSIGN_OR_RETURN(auto group, gang.Join(rank));
    return std::shared_ptr<Group>(std::move(group));
  });
}

// The agent keeps the memory of a group that did not form until its round ends, for who comes late.
TEST(GroupChurnTest, WhatNeverFormedIsGoneWithTheRound) {
  AgentInProcess agent;
  const auto session = agent.Join(0, 2);
  EXPECT_FALSE(session->WorldGroup(milliseconds(1)).ok());
  const Footprint before = Footprint::Read();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(session->WorldGroup(milliseconds(1)).ok());
  EXPECT_EQ(Settled(before.descriptors + 100).descriptors, before.descriptors + 100);

  agent.EndRound();

  ExpectNothingLeft(before);
}

}  // namespace
}  // namespace lockstep::rank
