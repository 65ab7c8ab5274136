// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A call that consists of several steps has one deadline for all of them, over each backend in main
// memory with ranks as threads.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/testing/host_makers.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives::testing {
namespace {

using base::Code;
using base::GroupRank;
using base::Rank;
using base::testing::HasSubject;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr int kSize = 3;
constexpr auto kTimeout = seconds(2);
constexpr auto kLatest = kTimeout + seconds(1);  // the contract's
// What one member lets the others wait for in the first step. With a deadline for each step they
// would be through after kLate + kTimeout.
constexpr auto kLate = milliseconds(1500);
static_assert(kLate + kTimeout > kLatest);

base::SteadyTime Now() { return base::RealClock().Now(); }

/// A backend whose memory never comes.
class NeverAllocates final : public Backend {
 public:
  explicit NeverAllocates(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}

  const Capabilities& capabilities() const override { return backend_->capabilities(); }
  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override {
    return backend_->Run(op, seq, watch);
  }
  bool Advance(Moving& moving) override { return backend_->Advance(moving); }
  void AwaitTransfers(base::Duration at_most) override { backend_->AwaitTransfers(at_most); }
  base::Status Fail(const base::Status& error, const std::vector<int>& blamed) override {
    return backend_->Fail(error, blamed);
  }
  void Poison(const base::Status& reason) override { backend_->Poison(reason); }
  void Interrupt() override { backend_->Interrupt(); }
  void DeclareLongPhase(base::Duration at_most) override { backend_->DeclareLongPhase(at_most); }
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t,
                                                          const OpDeadline& deadline) override {
    while (deadline.Left().count() > 0) std::this_thread::yield();
    return base::DeadlineExceededError("no memory within " +
                                       base::FormatDuration(deadline.due().timeout));
  }
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override {
    return backend_->Explain(kind, dtype, count);
  }

 private:
  const std::unique_ptr<Backend> backend_;
};

/// Makes the world as another maker does, but memory in it never comes, and one member never comes
/// to a group that is made from it.
class SecondStepFails final : public BackendMaker {
 public:
  static constexpr Rank kDeserter{2};

  explicit SecondStepFails(std::shared_ptr<BackendMaker> maker) : maker_(std::move(maker)) {}
  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override {
    const Rank self = spec.world_ranks[static_cast<size_t>(spec.rank.value())];
    if (spec.name != "world" && self == kDeserter) return base::CancelledError("it deserts");
    ASSIGN_OR_RETURN(auto made, maker_->Make(spec, deadline));
    return std::unique_ptr<Backend>(std::make_unique<NeverAllocates>(std::move(made)));
  }

 private:
  const std::shared_ptr<BackendMaker> maker_;
};

class OneDeadlineTest : public ::testing::TestWithParam<HostMaker> {
 protected:
  /// `call` on all members, on rank 1 so late; how long it took on rank 0.
  base::Duration TimeOn0(const std::function<void(Group&)>& call) {
    ThreadGang gang(kSize, std::make_shared<SecondStepFails>(GetParam().make()));
    base::Duration took{0};
    gang.Run([&](Group& group) {
      ASSERT_OK(group.Barrier()->Wait());
      if (group.rank() == GroupRank(1))
        std::this_thread::sleep_for(kLate);  // tidy:allow sleep: it is late
      const base::SteadyTime called = Now();
      call(group);
      if (group.rank() == GroupRank(0)) took = Now() - called;
    });
    return took;
  }
};

INSTANTIATE_TEST_SUITE_P(Over, OneDeadlineTest, ::testing::ValuesIn(HostMakers()), HostMakerName);

TEST_P(OneDeadlineTest, ASplitTakesItsTimeoutAltogether) {
  const base::Duration took = TimeOn0([](Group& group) {
    const auto made = group.Split(0, 0, {.timeout = kTimeout});
    if (group.rank() == GroupRank(0)) {
      EXPECT_THAT(made,
                  StatusIs(Code::kDeadlineExceeded, HasSubstr("rank 2 never came within 2s")));
      EXPECT_THAT(made, HasSubject(SecondStepFails::kDeserter));
    } else {
      EXPECT_FALSE(made.ok());
    }
  });
  EXPECT_GE(took, kTimeout);
  EXPECT_LT(took, kLatest);
}

TEST_P(OneDeadlineTest, ADuplicateTakesItsTimeoutAltogether) {
  const base::Duration took = TimeOn0([](Group& group) {
    const auto made = group.Duplicate({.timeout = kTimeout});
    EXPECT_FALSE(made.ok());
    if (group.rank() != GroupRank(0)) return;
    EXPECT_THAT(made, HasSubject(SecondStepFails::kDeserter));
  });
  EXPECT_LT(took, kLatest);
}

TEST_P(OneDeadlineTest, ABufferTakesItsTimeoutAltogether) {
  const base::Duration took = TimeOn0([](Group& group) {
    EXPECT_THAT(group.AllocBuffer(4096, {.timeout = kTimeout}),
                StatusIs(Code::kDeadlineExceeded, HasSubstr("no memory within 2s")));
  });
  EXPECT_GE(took, kTimeout);
  EXPECT_LT(took, kLatest);
}

// It had declared that it would be late: then the time of the others does not pass.
TEST_P(OneDeadlineTest, ALongPhaseLeavesTheSecondStepItsTime) {
  ThreadGang gang(kSize, GetParam().make());
  gang.Run([](Group& group) {
    constexpr auto kShort = seconds(1);
    if (group.rank() != GroupRank(1)) {
      ASSERT_OK(group.Barrier()->Wait());
      ASSERT_OK_AND_ASSIGN(const auto made, group.Duplicate({.timeout = kShort}));
      EXPECT_OK(made->Barrier()->Wait());
      return;
    }
    const LongPhase phase(group, seconds(60));
    ASSERT_OK(group.Barrier()->Wait());
    std::this_thread::sleep_for(  // tidy:allow sleep: it is late
        kShort + seconds(1) + kShort / 2);
    ASSERT_OK_AND_ASSIGN(const auto made, group.Duplicate({.timeout = seconds(60)}));
    EXPECT_OK(made->Barrier()->Wait());
  });
}

}  // namespace
}  // namespace lockstep::collectives::testing
