// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/unix_socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/net/socket_directory.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using ::testing::HasSubstr;

/// A folder with a short name, as sockets need it.
class ShortFolder : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_ = "/tmp/lockstep_test_XXXXXX";
};

class UnixSocketTest : public ShortFolder {};

mode_t ModeOf(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

TEST_F(UnixSocketTest, ConnectionKnowsItsPeer) {
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd listener, ListenUnix(folder_ + "/s"));
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd client, ConnectUnix(folder_ + "/s"));
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd server, AcceptUnix(listener.get()));
  ASSERT_TRUE(server.valid());

  ASSERT_OK_AND_ASSIGN(const PeerCredentials peer, PeerOf(server.get()));

  EXPECT_EQ(peer.pid, ::getpid());
  EXPECT_EQ(peer.uid, ::geteuid());
  for (const base::UniqueFd* fd : {&listener, &client, &server}) {
    EXPECT_TRUE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK);
  }
}

TEST_F(UnixSocketTest, OnlyTheOwnerMayConnectWhateverTheUmask) {
  const mode_t before = ::umask(0);
  EXPECT_OK(ListenUnix(folder_ + "/s"));
  ::umask(before);

  EXPECT_EQ(ModeOf(folder_ + "/s"), 0600u);
}

TEST_F(UnixSocketTest, NothingWaitsIsNoError) {
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd listener, ListenUnix(folder_ + "/s"));

  ASSERT_OK_AND_ASSIGN(const base::UniqueFd none, AcceptUnix(listener.get()));

  EXPECT_FALSE(none.valid());
}

TEST_F(UnixSocketTest, SecondListenerIsRefusedAndAnAbandonedSocketIsReplaced) {
  {
    ASSERT_OK_AND_ASSIGN(const base::UniqueFd first, ListenUnix(folder_ + "/s"));
    EXPECT_THAT(ListenUnix(folder_ + "/s"),
                StatusIs(Code::kAlreadyExists, HasSubstr(folder_ + "/s")));
  }
  EXPECT_THAT(ConnectUnix(folder_ + "/s"),
              StatusIs(Code::kUnavailable, HasSubstr("nobody listens")));
  EXPECT_THAT(ListenUnix(folder_ + "/s"), IsOk());
}

TEST_F(UnixSocketTest, FileInTheWayIsNotRemoved) {
  std::ofstream(folder_ + "/s") << "precious";

  EXPECT_THAT(ListenUnix(folder_ + "/s"), StatusIs(Code::kAlreadyExists));
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/s"));
}

TEST_F(UnixSocketTest, PathsUpToTheLimitWork) {
  const std::string longest =
      folder_ + "/" + std::string(kUnixPathBytesMax - folder_.size() - 1, 's');

  EXPECT_OK(ListenUnix(longest));
  EXPECT_THAT(ListenUnix(longest + "s"), StatusIs(Code::kInvalidArgument, HasSubstr("108 bytes")));
  EXPECT_THAT(ConnectUnix(longest + "s"), StatusIs(Code::kInvalidArgument, HasSubstr("107")));
  EXPECT_THAT(ListenUnix(""), StatusIs(Code::kInvalidArgument));
}

TEST_F(UnixSocketTest, MissingSocketIsNotFound) {
  EXPECT_THAT(ConnectUnix(folder_ + "/none"), StatusIs(Code::kNotFound, HasSubstr("/none")));
}

TEST_F(UnixSocketTest, FullBacklogIsToldFromNobody) {
  ASSERT_OK_AND_ASSIGN(const base::UniqueFd listener, ListenUnix(folder_ + "/s"));
  std::vector<base::UniqueFd> waiting;
  base::Status last;
  for (int i = 0; i < 1000 && last.ok(); ++i) {
    auto fd = ConnectUnix(folder_ + "/s");
    last = fd.status();
    if (fd.ok()) waiting.push_back(*std::move(fd));
  }

  EXPECT_THAT(last, StatusIs(Code::kResourceExhausted, HasSubstr("too many")));
}

TEST(AbstractSocketTest, ANameIsOnesAloneUntilItsLastDescriptorIsClosedAndLeavesNoFile) {
  const std::string name = "@lockstep-test-" + std::to_string(::getpid());
  ASSERT_OK_AND_ASSIGN(base::UniqueFd listener, ListenUnix(name));
  base::UniqueFd inherited(::fcntl(listener.get(), F_DUPFD_CLOEXEC, 0));

  EXPECT_THAT(ListenUnix(name), StatusIs(Code::kAlreadyExists, HasSubstr(name)));
  EXPECT_OK(ConnectUnix(name));
  EXPECT_THAT(ConnectUnix(name + "0"), StatusIs(Code::kUnavailable, HasSubstr("nobody listens")));
  listener.reset();
  EXPECT_OK(ConnectUnix(name));
  inherited.reset();
  EXPECT_THAT(ConnectUnix(name), StatusIs(Code::kUnavailable));
  EXPECT_OK(ListenUnix(name));
  EXPECT_FALSE(std::filesystem::exists(name));
}

TEST(AbstractSocketTest, NamesUpToTheLimitWork) {
  const std::string longest =
      "@" + std::to_string(::getpid()) + std::string(kUnixPathBytesMax, 'n');

  ASSERT_OK_AND_ASSIGN(const base::UniqueFd listener,
                       ListenUnix(longest.substr(0, kUnixPathBytesMax)));
  EXPECT_OK(ConnectUnix(longest.substr(0, kUnixPathBytesMax)));
  EXPECT_THAT(ListenUnix(longest.substr(0, kUnixPathBytesMax + 1)),
              StatusIs(Code::kInvalidArgument));
}

TEST(PeerTest, OnlyOurUserAndRootAreOurs) {
  EXPECT_OK(CheckPeerIsOurs({.pid = 1, .uid = 1000}, 1000));
  EXPECT_OK(CheckPeerIsOurs({.pid = 1, .uid = 0}, 1000));
  EXPECT_THAT(CheckPeerIsOurs({.pid = 77, .uid = 1001}, 1000),
              StatusIs(Code::kPermissionDenied, HasSubstr("77")));
  EXPECT_THAT(CheckPeerIsOurs({.pid = 77, .uid = 1000}, 0), StatusIs(Code::kPermissionDenied));
}

class SocketDirectoryTest : public ShortFolder {
 protected:
  static constexpr size_t kNameBytes = 20;
  const uid_t uid_ = ::geteuid();
};

TEST_F(SocketDirectoryTest, RuntimeDirComesFirst) {
  EXPECT_THAT(SocketDirectory(folder_, uid_, kNameBytes, "/nowhere"),
              IsOkAndHolds(folder_ + "/lockstep"));
  EXPECT_EQ(ModeOf(folder_ + "/lockstep"), 0700u);
  EXPECT_THAT(SocketDirectory(folder_, uid_, kNameBytes, "/nowhere"),
              IsOkAndHolds(folder_ + "/lockstep"));
}

TEST_F(SocketDirectoryTest, RuntimeDirThatIsUnsetRelativeOrMissingIsReplaced) {
  const std::string expected = folder_ + "/lockstep-" + std::to_string(uid_);

  EXPECT_THAT(SocketDirectory("", uid_, kNameBytes, folder_), IsOkAndHolds(expected));
  EXPECT_THAT(SocketDirectory("relative", uid_, kNameBytes, folder_), IsOkAndHolds(expected));
  EXPECT_THAT(SocketDirectory(folder_ + "/missing", uid_, kNameBytes, folder_),
              IsOkAndHolds(expected));
  EXPECT_EQ(ModeOf(expected), 0700u);
}

TEST_F(SocketDirectoryTest, RuntimeDirThatIsTooLongForASocketsAddressIsReplaced) {
  const size_t longest = kUnixPathBytesMax - 1 - kNameBytes - std::string("/lockstep").size();
  const std::string fits = folder_ + "/" + std::string(longest - folder_.size() - 1, 'x');
  for (const std::string& runtime : {fits, fits + "x"}) {
    ASSERT_EQ(::mkdir(runtime.c_str(), 0700), 0);
  }

  EXPECT_THAT(SocketDirectory(fits, uid_, kNameBytes, folder_), IsOkAndHolds(fits + "/lockstep"));
  EXPECT_THAT(SocketDirectory(fits + "x", uid_, kNameBytes, folder_),
              IsOkAndHolds(TemporarySocketDirectory(uid_, folder_)));
}

TEST_F(SocketDirectoryTest, FolderOfAnotherUserIsRefused) {
  const uid_t other = uid_ + 1;
  ASSERT_EQ(::mkdir((folder_ + "/lockstep-" + std::to_string(other)).c_str(), 0700), 0);

  EXPECT_THAT(SocketDirectory("", other, kNameBytes, folder_),
              StatusIs(Code::kPermissionDenied, HasSubstr("belongs to user")));
}

TEST_F(SocketDirectoryTest, SymbolicLinkIsRefused) {
  ASSERT_EQ(::mkdir((folder_ + "/real").c_str(), 0700), 0);
  const std::string link = folder_ + "/lockstep-" + std::to_string(uid_);
  ASSERT_EQ(::symlink("real", link.c_str()), 0);

  EXPECT_THAT(SocketDirectory("", uid_, kNameBytes, folder_),
              StatusIs(Code::kPermissionDenied, HasSubstr("symbolic link")));
}

TEST_F(SocketDirectoryTest, FolderOpenToOthersIsClosed) {
  const std::string path = folder_ + "/lockstep-" + std::to_string(uid_);
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0777), 0);

  EXPECT_OK(SocketDirectory("", uid_, kNameBytes, folder_));

  EXPECT_EQ(ModeOf(path), 0700u);
}

}  // namespace
}  // namespace lockstep::net
