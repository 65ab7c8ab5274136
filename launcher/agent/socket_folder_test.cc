// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/socket_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/base/errno_status.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/socket_directory.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::HasSubstr;

TEST(SocketFolderTest, TheSameFolderIsMadeAgainWhereItCanBe) {
  std::string root = std::string(::getenv("TEST_TMPDIR")) + "/sockets_XXXXXX";
  ASSERT_NE(::mkdtemp(root.data()), nullptr);

  EXPECT_THAT(FolderForNewSockets(root + "/lockstep"), IsOkAndHolds(root + "/lockstep"));
  EXPECT_TRUE(std::filesystem::is_directory(root + "/lockstep"));
  std::filesystem::remove_all(root);
  EXPECT_THAT(FolderForNewSockets(root + "/lockstep"),
              IsOkAndHolds(net::TemporarySocketDirectory(::getuid())));
}

TEST(SocketFolderTest, AFullDiskIsItsFoldersMatter) {
  EXPECT_THAT(SocketTrouble(base::ErrnoStatus(ENOSPC, "listen on /run/a")),
              StatusIs(Code::kPermissionDenied, HasSubstr("/run/a: No space left")));
  EXPECT_THAT(SocketTrouble(base::ErrnoStatus(EDQUOT, "listen on /run/a")),
              StatusIs(Code::kPermissionDenied, HasSubstr("/run/a")));
  EXPECT_THAT(SocketTrouble(base::ErrnoStatus(EROFS, "listen on /run/a")),
              StatusIs(Code::kPermissionDenied, HasSubstr("/run/a")));
  EXPECT_THAT(SocketTrouble(base::ErrnoStatus(ENOENT, "listen on /run/a")),
              StatusIs(Code::kPermissionDenied, HasSubstr("/run/a")));
}

TEST(SocketFolderTest, UsedUpDescriptorsAreNot) {
  // The highest number that may be given out is the next free one.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const base::UniqueFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(next.valid());
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next.get()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const base::Status why = SocketTrouble(base::ErrnoStatus(EMFILE, "make a unix socket"));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_THAT(why, StatusIs(Code::kResourceExhausted, HasSubstr("ulimit -n")));
}

TEST(SocketFolderTest, AnotherOneThatListensIsNot) {
  EXPECT_THAT(SocketTrouble(base::AlreadyExistsError("listen on /run/a")),
              StatusIs(Code::kAlreadyExists));
}

}  // namespace
}  // namespace lockstep::launcher
