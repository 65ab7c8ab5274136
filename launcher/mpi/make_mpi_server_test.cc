// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/make_mpi_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::launcher {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::NotNull;

class MakeMpiServerTest : public ::testing::Test {
 protected:
  base::Result<std::unique_ptr<MpiServer>> Make(proto::MpiServer chosen,
                                                MpiServerOptions options = {}) {
    return MakeMpiServer(chosen, std::move(options), {loop_, processes_});
  }

  event::SimLoop loop_;
  process::SimProcesses processes_{loop_, 1};
};

TEST_F(MakeMpiServerTest, TheProgramsLibraryDecidesUnlessTheUserDoes) {
  const ProgramImage open_mpi{.kind = ProgramImage::Kind::kDynamic, .needed = {"libmpi.so.40"}};
  const ProgramImage mpich{.kind = ProgramImage::Kind::kDynamic, .needed = {"libmpich.so.12"}};
  EXPECT_EQ(ChooseMpiServer(proto::MPI_SERVER_AUTO, open_mpi), proto::MPI_SERVER_PMIX);
  EXPECT_EQ(ChooseMpiServer(proto::MPI_SERVER_AUTO, mpich), proto::MPI_SERVER_PMI1);
  EXPECT_EQ(ChooseMpiServer(proto::MPI_SERVER_AUTO, {}), proto::MPI_SERVER_NONE);
  EXPECT_EQ(ChooseMpiServer(proto::MPI_SERVER_PMI1, {}), proto::MPI_SERVER_PMI1);
  EXPECT_EQ(ChooseMpiServer(proto::MPI_SERVER_NONE, open_mpi), proto::MPI_SERVER_NONE);
}

TEST_F(MakeMpiServerTest, RanksWithoutAnMpiGetNone) {
  const auto none = Make(proto::MPI_SERVER_NONE, {.all_ranks_here = false});
  ASSERT_THAT(none, IsOk());
  EXPECT_THAT(*none, IsNull());
  const auto pmi = Make(proto::MPI_SERVER_PMI1);
  ASSERT_THAT(pmi, IsOk());
  EXPECT_THAT(*pmi, NotNull());
}

TEST_F(MakeMpiServerTest, WhatNoMpiCanIsRefused) {
  for (const proto::MpiServer server : {proto::MPI_SERVER_PMIX, proto::MPI_SERVER_PMI1}) {
    EXPECT_THAT(Make(server, {.all_ranks_here = false}),
                StatusIs(Code::kInvalidArgument, HasSubstr("mpirun ... lockstep exec")));
    EXPECT_THAT(Make(server, {.keeps_survivors = true}),
                StatusIs(Code::kInvalidArgument, HasSubstr("--on-rank-failure=keep")));
  }
}

}  // namespace
}  // namespace lockstep::launcher
