// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/election_secret.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::StatusIs;

class ElectionSecretTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "secretXXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
};

TEST_F(ElectionSecretTest, ItIsTheUsersAloneAndStays) {
  ASSERT_OK_AND_ASSIGN(const base::SipKey first, ElectionSecret(folder_));
  ASSERT_OK_AND_ASSIGN(const base::SipKey second, ElectionSecret(folder_));

  EXPECT_EQ(first, second);
  struct stat file{};
  ASSERT_EQ(::stat((folder_ + "/exec-secret").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777u, 0600u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(ElectionSecretTest, OtherFoldersHaveOthers) {
  std::filesystem::create_directory(folder_ + "/other");
  ASSERT_OK_AND_ASSIGN(const base::SipKey one, ElectionSecret(folder_));
  ASSERT_OK_AND_ASSIGN(const base::SipKey other, ElectionSecret(folder_ + "/other"));

  EXPECT_NE(one, other);
}

TEST_F(ElectionSecretTest, RanksThatStartAtOnceHaveOne) {
  constexpr int kRanks = 12;
  for (int round = 0; round < 10; ++round) {
    const std::string folder = folder_ + "/" + std::to_string(round);
    std::filesystem::create_directory(folder);
    int gate[2], answers[2];
    ASSERT_EQ(::pipe(gate), 0);
    ASSERT_EQ(::pipe(answers), 0);
    for (int rank = 0; rank < kRanks; ++rank) {
      if (::fork() != 0) continue;
      ::close(gate[1]);
      char byte = 0;
      (void)!::read(gate[0], &byte, 1);  // until the gate opens for all
      const auto secret = ElectionSecret(folder);
      const base::SipKey answer = secret.ok() ? *secret : base::SipKey{};
      (void)!::write(answers[1], answer.data(), answer.size());
      ::_exit(0);
    }
    ::close(gate[0]);
    ::close(gate[1]);
    std::set<base::SipKey> met;
    for (int rank = 0; rank < kRanks; ++rank) {
      base::SipKey answer{};
      ASSERT_EQ(::read(answers[0], answer.data(), answer.size()),
                static_cast<ssize_t>(answer.size()));
      met.insert(answer);
      ::wait(nullptr);
    }
    ::close(answers[0]);
    ::close(answers[1]);
    EXPECT_EQ(met.size(), 1u);
    EXPECT_FALSE(met.contains(base::SipKey{})) << "an error";
  }
}

TEST_F(ElectionSecretTest, OneThatIsDamagedIsMadeAnew) {
  for (const std::string& damage : {std::string(), std::string(15, 'x'), std::string(17, 'x')}) {
    std::ofstream(folder_ + "/exec-secret") << damage;

    ASSERT_OK_AND_ASSIGN(const base::SipKey secret, ElectionSecret(folder_));

    EXPECT_THAT(ElectionSecret(folder_), base::testing::IsOkAndHolds(secret));
  }
}

TEST_F(ElectionSecretTest, AFolderThatIsGoneIsAnError) {
  EXPECT_THAT(ElectionSecret(folder_ + "/gone"), StatusIs(Code::kNotFound));
}

}  // namespace
}  // namespace lockstep::launcher
