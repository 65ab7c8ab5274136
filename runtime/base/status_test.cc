// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/status.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <memory>

#include "runtime/base/errno_status.h"
#include "runtime/base/result.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::base {
namespace {

using ::lockstep::base::testing::HasSubject;
using ::lockstep::base::testing::IsOk;
using ::lockstep::base::testing::IsOkAndHolds;
using ::lockstep::base::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(StatusTest, DefaultIsOkAndHasNoFields) {
  const Status status;

  EXPECT_THAT(status, IsOk());
  EXPECT_EQ(status.code(), Code::kOk);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.cause(), nullptr);
  EXPECT_EQ(status.ToString(), "OK");
}

TEST(StatusTest, OriginIsTheCallOfTheFactory) {
  const Status status = NotFoundError("no such job");
  const uint32_t line = __LINE__ - 1;

  EXPECT_THAT(status.origin_file(), HasSubstr("status_test.cc"));
  EXPECT_EQ(status.origin_line(), line);
}

TEST(StatusTest, FramesGoInFrontAndKeepTheCode) {
  const Status status = UnavailableError("connection closed").WithFrame("while joining round 7");

  EXPECT_THAT(status, StatusIs(Code::kUnavailable, "while joining round 7: connection closed"));
}

TEST(StatusTest, ChangedCopyLeavesTheOriginalAlone) {
  const Status original = AbortedError("group is poisoned");
  const Status blamed = original.WithSubject({.host = "node-a", .pid = 17, .rank = Rank(3)});

  EXPECT_TRUE(original.subjects().empty());
  EXPECT_THAT(blamed, HasSubject(Rank(3)));
}

TEST(StatusTest, AddingFieldsToOkKeepsItOk) {
  EXPECT_THAT(OkStatus().WithFrame("while x").WithSubject({}).WithCause(InternalError("y")),
              IsOk());
}

TEST(StatusTest, RootIsTheEndOfTheCauseChain) {
  const Status root = InternalError("rank 2 died");
  const Status status = AbortedError("outer").WithCause(UnavailableError("middle").WithCause(root));

  EXPECT_EQ(status.root().message(), "rank 2 died");
  EXPECT_EQ(root.root().message(), "rank 2 died");
}

TEST(StatusTest, OneLineTextNamesSubjectOpAndCause) {
  const Status status =
      AbortedError("peer closed the connection")
          .WithSubject({.host = "b", .pid = 42, .rank = Rank(1), .call_site = "train.cc:7"})
          .WithOp(
              {.group = GroupId(0xab), .epoch = Round(2), .seq = OpSeq(9), .kind = "all_reduce"})
          .WithCause(InternalError("killed"));

  EXPECT_EQ(status.ToString(),
            "ABORTED: peer closed the connection [rank 1, host b, pid 42, at train.cc:7] "
            "(all_reduce #9 in group 00000000000000ab, epoch 2); caused by: INTERNAL: killed");
}

TEST(ErrnoStatusTest, NamesCallReasonAndSymbol) {
  EXPECT_THAT(ErrnoStatus(ENOSPC, "write /tmp/x"),
              StatusIs(Code::kResourceExhausted, "write /tmp/x: No space left on device (ENOSPC)"));
  EXPECT_THAT(ErrnoStatus(99999, "x"), StatusIs(Code::kUnknown, HasSubstr("99999")));
}

TEST(ErrnoStatusTest, UsedUpDescriptorsComeWithTheirLimitAndItsCure) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{.rlim_cur = 40, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  const Status soft = ErrnoStatus(EMFILE, "open /tmp/x");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit full{.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &full), 0);
  const Status hard = ErrnoStatus(EMFILE, "open /tmp/x");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_THAT(
      soft,
      StatusIs(Code::kResourceExhausted,
               "open /tmp/x: Too many open files (EMFILE); this process may have 40 descriptors "
               "(RLIMIT_NOFILE): raise it with: ulimit -n " +
                   std::to_string(before.rlim_max)));
  EXPECT_THAT(hard, StatusIs(Code::kResourceExhausted, HasSubstr("ulimit -n NUMBER, as root")));
  EXPECT_THAT(ErrnoStatus(ENFILE, "open /tmp/x"),
              StatusIs(Code::kResourceExhausted, HasSubstr("sysctl -w fs.file-max")));
}

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgumentError("odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(ResultTest, AssignOrReturnPassesValuesAndErrors) {
  EXPECT_THAT(Quarter(8), IsOkAndHolds(2));
  EXPECT_THAT(Quarter(6), StatusIs(Code::kInvalidArgument, "odd"));
  EXPECT_THAT(Quarter(6), Not(IsOk()));
}

TEST(ResultTest, HoldsMoveOnlyAndConvertsToBase) {
  struct Base {
    virtual ~Base() = default;
  };
  struct Derived : Base {};
  const auto make = []() -> Result<std::unique_ptr<Base>> { return std::make_unique<Derived>(); };

  ASSERT_OK_AND_ASSIGN(std::unique_ptr<Base> made, make());
  EXPECT_NE(made, nullptr);
}

TEST(ResultDeathTest, ValueOfAnErrorAbortsWithTheError) { EXPECT_DEATH((void)*Half(3), "odd"); }

}  // namespace
}  // namespace lockstep::base
