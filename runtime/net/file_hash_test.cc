// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/file_hash.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::net {
namespace {

using base::testing::IsOkAndHolds;
using base::testing::StatusIs;

base::UniqueFd FileWith(const std::string& name, const std::string& content) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << content;
  return base::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

TEST(FileHashTest, HashesAreThoseOfSha256sum) {
  const base::UniqueFd empty = FileWith("empty", "");
  const base::UniqueFd abc = FileWith("abc", "abc");
  const base::UniqueFd million = FileWith("million", std::string(1'000'000, 'a'));

  EXPECT_THAT(Sha256OfFile(empty.get(), "it"),
              IsOkAndHolds("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  EXPECT_THAT(Sha256OfFile(abc.get(), "it"),
              IsOkAndHolds("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  EXPECT_THAT(Sha256OfFile(million.get(), "it"),
              IsOkAndHolds("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

TEST(FileHashTest, TheOffsetOfTheDescriptorStays) {
  const base::UniqueFd abc = FileWith("offset", "abc");
  ASSERT_EQ(::lseek(abc.get(), 1, SEEK_SET), 1);

  ASSERT_THAT(Sha256OfFile(abc.get(), "it"),
              IsOkAndHolds("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));

  EXPECT_EQ(::lseek(abc.get(), 0, SEEK_CUR), 1);
}

TEST(FileHashTest, AFolderHasNone) {
  const base::UniqueFd folder(::open("/", O_RDONLY | O_CLOEXEC));

  EXPECT_THAT(Sha256OfFile(folder.get(), "/"), StatusIs(base::Code::kInvalidArgument));
}

}  // namespace
}  // namespace lockstep::net
