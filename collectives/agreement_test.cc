// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/agreement.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/testing/host_makers.h"
#include "collectives/testing/thread_gang.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::Rank;
using base::Status;
using base::testing::HasSubject;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::ThreadGang;

/// Over each backend.
class AgreementTest : public ::testing::TestWithParam<testing::HostMaker> {
 protected:
  /// What each member is told of its own `buffer(rank)`, when they compare them.
  static std::vector<Status> Compare(int size,
                                     const std::function<std::vector<float>(int rank)>& buffer) {
    std::vector<Status> told(static_cast<size_t>(size));
    ThreadGang(size, GetParam().make()).Run([&](Group& group) {
      const int rank = group.rank().value();
      const std::vector<float> mine = buffer(rank);
      told[static_cast<size_t>(rank)] =
          CheckAgreement(group, {mine.data(), mine.size(), Dtype::kF32});
      EXPECT_THAT(group.Barrier()->Wait(), IsOk()) << "the group goes on";
    });
    return told;
  }
};

std::vector<float> Values(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) * 0.37f;
  return values;
}

/// The least that can happen to a value.
void FlipABit(float& value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits ^= 1u << (bits % 31);
  std::memcpy(&value, &bits, sizeof bits);
}

TEST_P(AgreementTest, EqualBuffersAgree) {
  for (const size_t count : {0u, 1u, 7u, 128u, 129u, 100'003u}) {
    for (const Status& status : Compare(3, [&](int) { return Values(count); }))
      EXPECT_THAT(status, IsOk());
  }
}

TEST_P(AgreementTest, OneBitOfOneRankIsNamedOnAll) {
  for (const size_t count : {1u, 7u, 128u, 129u, 4096u, 100'003u}) {
    for (const size_t place : {size_t{0}, count / 2, count - 1}) {
      const auto told = Compare(3, [&](int rank) {
        auto values = Values(count);
        if (rank == 1) FlipABit(values[place]);
        return values;
      });
      for (const Status& status : told) {
        EXPECT_THAT(status, StatusIs(Code::kDataLoss));
        EXPECT_THAT(status, HasSubject(Rank(1)));
        EXPECT_THAT(status, Not(HasSubject(Rank(0))));
        EXPECT_THAT(status.message(), AllOf(HasSubstr("rank 1 has other values than ranks 0, 2"),
                                            HasSubstr("first at element " + std::to_string(place))))
            << count;
      }
    }
  }
}

TEST_P(AgreementTest, TheFirstOfManyDifferencesIsNamed) {
  const auto told = Compare(4, [](int rank) {
    auto values = Values(50'000);
    if (rank == 2) FlipABit(values[40'000]);
    if (rank == 3) {
      FlipABit(values[30'001]);
      FlipABit(values[45'000]);
    }
    return values;
  });
  for (const Status& status : told) {
    EXPECT_THAT(status.message(), AllOf(HasSubstr("ranks 2, 3 have other values than ranks 0, 1"),
                                        HasSubstr("first at element 30001")));
  }
}

TEST_P(AgreementTest, OfTwoNobodyIsAMajority) {
  const auto told = Compare(2, [](int rank) {
    auto values = Values(1000);
    if (rank == 1) FlipABit(values[500]);
    return values;
  });
  for (const Status& status : told) {
    EXPECT_THAT(status, AllOf(HasSubject(Rank(0)), HasSubject(Rank(1))));
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr("first at element 500"), HasSubstr("no side is a majority")));
  }
}

TEST_P(AgreementTest, BuffersOfDifferentSizesAreAnErrorOnAll) {
  const auto told = Compare(2, [](int rank) { return Values(rank == 0 ? 10 : 11); });
  for (const Status& status : told) {
    EXPECT_THAT(status, StatusIs(Code::kFailedPrecondition));
    EXPECT_THAT(status.message(), HasSubstr("40 bytes on rank 0, 44 bytes on rank 1"));
  }
}

// ---------------------------------------------------------------------------- OpOptions::verify

/// A backend whose member 1 gets one bit wrong in each output of more than 100 elements.
class CorruptingBackend final : public Backend {
 public:
  CorruptingBackend(std::unique_ptr<Backend> backend, bool corrupts)
      : backend_(std::move(backend)), corrupts_(corrupts) {}

  const Capabilities& capabilities() const override { return backend_->capabilities(); }
  Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override {
    Status status = backend_->Run(op, seq, watch);
    if (status.ok() && corrupts_ && op.dtype == Dtype::kF32 && op.count > 100)
      op.out[4 * 77] ^= std::byte{1};
    return status;
  }
  bool Advance(Moving& moving) override { return backend_->Advance(moving); }
  void AwaitTransfers(base::Duration at_most) override { backend_->AwaitTransfers(at_most); }
  Status Fail(const Status& error, const std::vector<int>& blamed) override {
    return backend_->Fail(error, blamed);
  }
  void Poison(const Status& reason) override { backend_->Poison(reason); }
  void Interrupt() override { backend_->Interrupt(); }
  void DeclareLongPhase(base::Duration at_most) override { backend_->DeclareLongPhase(at_most); }
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          const OpDeadline& deadline) override {
    return backend_->AllocBuffer(bytes, deadline);
  }
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override {
    return backend_->Explain(kind, dtype, count);
  }

 private:
  const std::unique_ptr<Backend> backend_;
  const bool corrupts_;
};

class CorruptingMaker final : public BackendMaker {
 public:
  explicit CorruptingMaker(std::shared_ptr<BackendMaker> maker) : maker_(std::move(maker)) {}

  base::Result<std::unique_ptr<Backend>> Make(const GroupSpec& spec,
                                              const OpDeadline& deadline) override {
    ASSIGN_OR_RETURN(auto backend, maker_->Make(spec, deadline));
    return std::make_unique<CorruptingBackend>(std::move(backend), spec.rank.value() == 1);
  }

 private:
  const std::shared_ptr<BackendMaker> maker_;
};

class VerifyTest : public ::testing::TestWithParam<testing::HostMaker> {};

TEST_P(VerifyTest, WhatIsTheSameOnAllEndsWell) {
  ThreadGang(3, GetParam().make()).Run([](Group& group) {
    std::vector<float> data(1000, 1.0f), all(3000);
    EXPECT_THAT(
        group
            .AllReduce({data.data(), 1000}, {data.data(), 1000}, Reduction::kSum, {.verify = true})
            ->Wait(),
        IsOk());
    EXPECT_EQ(data[999], 3.0f);
    EXPECT_THAT(group.AllGather({data.data(), 1000}, {all.data(), 3000}, {.verify = true})->Wait(),
                IsOk());
    const size_t counts[] = {1000, 1000, 1000};
    EXPECT_THAT(
        group.AllGatherV({data.data(), 1000}, {all.data(), 3000}, counts, {.verify = true})->Wait(),
        IsOk());
    const auto work = group.Broadcast({data.data(), 1000}, base::GroupRank(2), {.verify = true});
    EXPECT_EQ(work->state(), Work::State::kCompleted) << "the call has waited";
  });
}

TEST_P(VerifyTest, ADivergentOutputNamesTheRankAndTheElementOnAll) {
  ThreadGang(3, std::make_shared<CorruptingMaker>(GetParam().make())).Run([](Group& group) {
    std::vector<float> data(1000, 1.0f);
    const Buffer buffer{data.data(), data.size()};
    for (const bool reduces : {true, false}) {
      const auto work = reduces ? group.AllReduce(buffer, buffer, Reduction::kSum, {.verify = true})
                                : group.Broadcast(buffer, base::GroupRank(0), {.verify = true});
      const Status status = work->Wait();
      EXPECT_THAT(status, StatusIs(Code::kDataLoss, HasSubstr(reduces ? "all_reduce(f32, sum, 1000)"
                                                                      : "broadcast(f32")));
      EXPECT_THAT(status, HasSubject(Rank(1)));
      EXPECT_THAT(status, Not(HasSubject(Rank(0))));
      EXPECT_THAT(status.message(), HasSubstr("first at element 77"));
      EXPECT_EQ(work->state(), Work::State::kError);
      Status told;
      work->OnComplete([&told](const Status& of_op) { told = of_op; });
      EXPECT_EQ(told.message(), status.message());
    }
    EXPECT_THAT(group.AllReduce(buffer, buffer, Reduction::kSum)->Wait(), IsOk())
        << "nobody looks, and the group goes on";
  });
}

TEST_P(VerifyTest, OpsWhoseOutputsDifferByNatureRefuseIt) {
  ThreadGang(2, GetParam().make()).Run([](Group& group) {
    std::vector<float> data(8, 1.0f);
    EXPECT_THAT(group
                    .Reduce({data.data(), 8}, {data.data(), 8}, Reduction::kSum, group.rank(),
                            {.verify = true})
                    ->Wait(),
                StatusIs(Code::kInvalidArgument, HasSubstr("reduce has no output")));
  });
}

INSTANTIATE_TEST_SUITE_P(Over, AgreementTest, ::testing::ValuesIn(testing::HostMakers()),
                         testing::HostMakerName);
INSTANTIATE_TEST_SUITE_P(Over, VerifyTest, ::testing::ValuesIn(testing::HostMakers()),
                         testing::HostMakerName);

}  // namespace
}  // namespace lockstep::collectives
