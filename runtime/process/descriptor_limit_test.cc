// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/descriptor_limit.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(DescriptorLimitTest, TheLastOneThatIsFreeIsEnoughAndOneMoreIsNot) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);

  size_t more = 64;
  while (!CheckDescriptorsLeft("hold them", more).ok()) --more;
  const base::Status beyond = CheckDescriptorsLeft("hold them", more + 1);
  std::vector<base::UniqueFd> taken;
  for (size_t i = 0; i <= more; ++i) {
    base::UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (fd.valid()) taken.push_back(std::move(fd));
  }

  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(taken.size(), more);
  EXPECT_THAT(beyond, StatusIs(Code::kResourceExhausted,
                               AllOf(HasSubstr("hold them: " + std::to_string(more + 1) +
                                               " descriptors are needed"),
                                     HasSubstr("may have 64"), HasSubstr("ulimit -n"))));
}

}  // namespace
}  // namespace lockstep::process
