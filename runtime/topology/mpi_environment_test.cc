// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/mpi_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep::topology {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(MpiEnvironmentTest, TheWorldOfALauncherAboveIsReplaced) {
  Environment environment = {{"HOME", "/home/me"},
                             {"OMPI_COMM_WORLD_RANK", "7"},
                             {"OMPI_MCA_ess", "^singleton"},
                             {"OMPI_MCA_orte_local_daemon_uri", "1.0;tcp://10.0.0.1:1"},
                             {"PMIX_NAMESPACE", "another"},
                             {"PMIX_SERVER_URI4", "another.0;tcp4://127.0.0.1:1"},
                             {"PMI_FD", "9"}};

  SetMpiWorld({{"PMIX_NAMESPACE", "job-0"}, {"PMIX_RANK", "1"}}, environment);

  EXPECT_THAT(environment, ElementsAre(Pair("HOME", "/home/me"), Pair("PMIX_NAMESPACE", "job-0"),
                                       Pair("PMIX_RANK", "1")));
}

TEST(MpiEnvironmentTest, WhatTunesTheMpiIsTheUsers) {
  Environment environment = {{"MPIR_CVAR_DEBUG_SUMMARY", "1"},
                             {"OMPI_MCA_btl", "self,tcp"},
                             {"OMPI_MCA_hwloc_base_binding_policy", "core"},
                             {"PMIX_MCA_ptl_base_if_include", "lo"}};
  const Environment before = environment;

  SetMpiWorld({{"OMPI_MCA_hwloc_base_binding_policy", "none"}}, environment);

  EXPECT_EQ(environment, before);
}

}  // namespace
}  // namespace lockstep::topology
