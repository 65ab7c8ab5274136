// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// With scripts instead of lockstep-pmix; tests/mpi_run has the real one.
#include "launcher/mpi/pmix_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/process/real_processes.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

class PmixServerTest : public ::testing::Test {
 protected:
  /// A program that says its last word before or after it has answered.
  std::string Script(const std::string& text) {
    const std::string path = folder_ + "/lockstep-pmix";
    std::ofstream(path) << "#!/bin/bash\n" << text << "\n";
    ::chmod(path.c_str(), 0755);
    return path;
  }
  base::Result<std::unique_ptr<PmixServer>> Start(const std::string& program) {
    return PmixServer::Create({.job_id = "job",
                               .host = "node-a",
                               .program = program,
                               .folder = SharedFolder(),
                               .log_path = folder_ + "/log",
                               .environment = {{"PATH", "/usr/bin:/bin"}},
                               .answer_limit = std::chrono::milliseconds(500),
                               .on_abort = [](base::Rank, int) {}},
                              {*loop_, *processes_});
  }
  std::string SharedFolder() const { return folder_ + "/shared"; }
  static std::string MakeFolder() {
    std::string folder = ::testing::TempDir() + "/pmixXXXXXX";
    return ::mkdtemp(folder.data());
  }

  const base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_ = *event::EpollLoop::Create(clock_);
  std::unique_ptr<process::RealProcesses> processes_ =
      *process::RealProcesses::Create({.mark = "test"}, *loop_);
  const std::string folder_ = MakeFolder();
};

TEST_F(PmixServerTest, AProgramThatIsNotThereIsNamedWithTheCure) {
  EXPECT_THAT(Start("/nowhere/lockstep-pmix"),
              StatusIs(Code::kNotFound,
                       AllOf(HasSubstr("/nowhere/lockstep-pmix is not there: put it beside"),
                             HasSubstr("--mpi=none"))));
}

TEST_F(PmixServerTest, AMissingLibraryIsNamedWithItsPackage) {
  auto server = Start(Script("echo 'libpmix.so.2: cannot open shared object file' >&2; exit 127"));
  ASSERT_THAT(server, IsOk());
  EXPECT_THAT((*server)->BeginRound(base::Round(0), 2),
              StatusIs(Code::kUnavailable, HasSubstr("`apt-get install libpmix2`")));
}

TEST_F(PmixServerTest, WhatEndsAtOnceIsQuoted) {
  auto server = Start(Script("echo first >&2; echo last words >&2"));
  ASSERT_THAT(server, IsOk());
  EXPECT_THAT((*server)->BeginRound(base::Round(0), 2),
              StatusIs(Code::kUnavailable, HasSubstr("ended at once: last words, or --mpi=none")));
}

TEST_F(PmixServerTest, WhatDoesNotAnswerIsWaitedForOnlySoLong) {
  auto server = Start(Script("exec sleep 100"));
  ASSERT_THAT(server, IsOk());
  const base::SteadyTime begun = loop_->Now();
  EXPECT_THAT((*server)->BeginRound(base::Round(0), 2),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("has not answered within 500ms")));
  EXPECT_GE(loop_->Now() - begun, std::chrono::milliseconds(500));
}

TEST_F(PmixServerTest, WhatIsNoAnswerIsNotBelieved) {
  for (const char* bytes : {R"(\xff\xff\xff\xff)", R"(\x02\x00\x00\x00\xff\xff)"}) {
    auto server = Start(Script(std::string("printf '") + bytes + "' >&3; exec sleep 100"));
    ASSERT_THAT(server, IsOk());
    EXPECT_THAT((*server)->BeginRound(base::Round(0), 2), StatusIs(Code::kUnavailable)) << bytes;
  }
}

TEST_F(PmixServerTest, RanksGetWhatTheProgramSaysAndTheirNumber) {
  // A PmixReply with ready{variables: "PMIX_NAMESPACE=n"}.
  const std::string answer = R"(\x14\x00\x00\x00\x0a\x12\x0a\x10PMIX_NAMESPACE=n)";
  auto server =
      Start(Script("head -c 5 <&3 >/dev/null; printf '" + answer + "' >&3; exec sleep 100"));
  ASSERT_THAT(server, IsOk());
  ASSERT_THAT((*server)->BeginRound(base::Round(0), 3), IsOk());
  const auto seat = (*server)->SeatOf(base::Rank(2));
  ASSERT_THAT(seat, IsOk());
  const topology::Environment expected = {{"PMIX_NAMESPACE", "n"},
                                          {"PMIX_RANK", "2"},
                                          {"OMPI_COMM_WORLD_SIZE", "3"},
                                          {"OMPI_MCA_ess", "pmi"},
                                          {"OMPI_MCA_btl_vader_backing_directory", SharedFolder()}};
  for (const auto& [name, value] : expected)
    EXPECT_THAT(seat->variables, Contains(Pair(name, value)));
  EXPECT_FALSE(seat->fd.valid());
}

TEST_F(PmixServerTest, TheFolderGoesWithTheServer) {
  auto server = Start(Script("exec sleep 100"));
  ASSERT_THAT(server, IsOk());
  std::ofstream(SharedFolder() + "/vader_segment.0") << "left by a rank that was killed";
  server->reset();
  EXPECT_FALSE(std::filesystem::exists(SharedFolder()));
}

TEST_F(PmixServerTest, AFolderThatOthersCanWriteIsNotTaken) {
  std::filesystem::create_directory(SharedFolder());
  ::chmod(SharedFolder().c_str(), 0777);
  EXPECT_THAT(Start(Script("exec sleep 100")),
              StatusIs(Code::kAlreadyExists, HasSubstr("somebody else's is there")));
  EXPECT_TRUE(std::filesystem::exists(SharedFolder()));
}

}  // namespace
}  // namespace lockstep::launcher
