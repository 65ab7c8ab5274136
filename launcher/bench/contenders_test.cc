// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/contenders.h"

#include <gmock/gmock.h>

#include <set>
#include <string>
#include <vector>

namespace lockstep::launcher {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> Names(const std::vector<Contender>& contenders) {
  std::vector<std::string> names;
  for (const Contender& contender : contenders) names.push_back(contender.name);
  return names;
}

TEST(ContendersTest, OursComeFirstAndPeersWithEveryKnobSet) {
  BenchOptions options;
  options.plain = true;
  options.peers = {BenchBackend::kOpenMpi, BenchBackend::kMpich, BenchBackend::kGloo};

  EXPECT_THAT(
      Names(ContendersOf(options, 2)),
      ElementsAre("host", "host plain", "openmpi", "openmpi no-cma", "openmpi recursive-doubling",
                  "openmpi ring", "openmpi segmented-ring-64K", "openmpi rabenseifner",
                  "openmpi no-cma segmented-ring-64K", "openmpi no-cma rabenseifner", "mpich",
                  "mpich yield", "mpich recursive-doubling", "mpich reduce-scatter-allgather",
                  "mpich release-gather", "gloo ring", "gloo bcube"));
}

TEST(ContendersTest, EachOpHasItsOwnAlgorithmsAndNoneTooMany) {
  BenchOptions options;
  options.op = LOCKSTEP_BENCH_ALL_GATHER;
  options.peers = {BenchBackend::kOpenMpi, BenchBackend::kGloo};

  EXPECT_THAT(Names(ContendersOf(options, 2)),
              ElementsAre("host", "openmpi", "openmpi no-cma", "openmpi bruck",
                          "openmpi recursive-doubling", "openmpi neighbor", "openmpi ring",
                          "openmpi no-cma neighbor", "openmpi no-cma ring", "gloo ring"));

  options.peers = {BenchBackend::kOpenMpi};
  for (int op = LOCKSTEP_BENCH_ALL_REDUCE; op <= LOCKSTEP_BENCH_BATCH; ++op) {
    options.op = static_cast<lockstep_bench_op>(op);
    EXPECT_LT(ContendersOf(options, 2).size(), 10u) << op;
  }
  options.op = LOCKSTEP_BENCH_GATHER;
  EXPECT_THAT(Names(ContendersOf(options, 2)), ElementsAre("host", "openmpi", "openmpi no-cma"));
}

TEST(ContendersTest, TheFloorIsOfTheBuffersThatAreMeasured) {
  BenchOptions options;
  options.plain = true;
  options.peers = {BenchBackend::kFloor};
  const std::vector<Contender> contenders = ContendersOf(options, 2);

  EXPECT_THAT(
      Names(contenders),
      ElementsAre("host", "host plain", "floor halves", "floor halves-past-caches", "floor whole",
                  "floor-plain whole", "floor-plain whole-past-caches", "floor-plain slices",
                  "floor-plain slices-past-caches", "floor-plain attached"));
  EXPECT_EQ(contenders[3].peer, "floor");
  EXPECT_TRUE(contenders[3].registered);
  EXPECT_TRUE(contenders[3].bound);
  EXPECT_EQ(contenders[3].program, "lockstep-bench-floor");
  EXPECT_THAT(contenders[3].arguments, ElementsAre("halves-past-caches"));
  EXPECT_EQ(contenders[5].peer, "floor-plain") << "no floor of the other buffers";
  EXPECT_FALSE(contenders[5].registered);

  options.op = LOCKSTEP_BENCH_BROADCAST;
  EXPECT_THAT(Names(ContendersOf(options, 2)),
              ElementsAre("host", "host plain", "floor pull", "floor pull-past-caches",
                          "floor halves", "floor halves-past-caches"));

  options.op = LOCKSTEP_BENCH_ALL_GATHER;
  EXPECT_THAT(Names(ContendersOf(options, 2)), ElementsAre("host", "host plain", "floor pull",
                                                           "floor pull-past-caches", "floor push"));
}

TEST(ContendersTest, OverMpiOursIsStartedByThatMpisOwnMpirunBesideTheRawOne) {
  BenchOptions options;
  options.backend = BenchBackend::kMpi;
  options.op = LOCKSTEP_BENCH_ALL_GATHER;
  options.peers = {BenchBackend::kMpich};
  const std::vector<Contender> contenders = ContendersOf(options, 2);

  EXPECT_THAT(Names(contenders), ElementsAre("mpi-openmpi", "mpi-mpich", "mpich", "mpich yield"));
  EXPECT_EQ(contenders[0].launcher, "mpirun.openmpi");
  EXPECT_EQ(contenders[1].launcher, "mpirun.mpich");
  EXPECT_EQ(contenders[1].words, contenders[2].words) << "the same but for what is between";
  EXPECT_EQ(contenders[1].peer, "");
  EXPECT_FALSE(contenders[1].registered);
  EXPECT_THAT(contenders[1].environment, ElementsAre(std::make_pair("LOCKSTEP_JOB_BACKEND", "mpi"),
                                                     std::make_pair("LOCKSTEP_JOB_CHECK", "fast")));
}

TEST(ContendersTest, ComparedCallsAreMeasuredBesideTheSameWithout) {
  BenchOptions options;
  options.backend = BenchBackend::kMpi;
  options.check_calls = true;
  options.op = LOCKSTEP_BENCH_GATHER;
  options.peers = {BenchBackend::kMpich};
  const std::vector<Contender> contenders = ContendersOf(options, 2);

  EXPECT_THAT(Names(contenders), ElementsAre("mpi-openmpi checked", "mpi-mpich checked",
                                             "mpi-openmpi", "mpi-mpich", "mpich", "mpich yield"));
  for (const size_t mpi : {size_t{0}, size_t{1}}) {
    const Contender &checked = contenders[mpi], &without = contenders[mpi + 2];
    EXPECT_EQ(checked.peer, "");
    EXPECT_EQ(without.peer, without.name);
    EXPECT_EQ(checked.launcher, without.launcher);
    EXPECT_EQ(checked.words, without.words);
    EXPECT_THAT(checked.environment,
                Contains(std::make_pair(std::string("LOCKSTEP_JOB_CHECK"), std::string("strict"))));
    EXPECT_THAT(without.environment,
                Contains(std::make_pair(std::string("LOCKSTEP_JOB_CHECK"), std::string("fast"))));
    EXPECT_THAT(checked.knobs, HasSubstr("calls compared before each op"));
    EXPECT_THAT(without.knobs, Not(HasSubstr("compared")));
  }

  options.backend = BenchBackend::kNccl;
  options.peers = {};
  const std::vector<Contender> on_gpus = ContendersOf(options, 2);
  EXPECT_THAT(Names(on_gpus), ElementsAre("nccl checked", "nccl"));
  EXPECT_EQ(on_gpus[0].words.back(), "strict");
  EXPECT_EQ(on_gpus[1].words.back(), "fast");
  EXPECT_EQ(on_gpus[1].peer, "nccl");
}

TEST(ContendersTest, OverNcclBuffersAreTheGpus) {
  BenchOptions options;
  options.backend = BenchBackend::kNccl;
  options.registered = false;
  options.plain = true;
  const std::vector<Contender> contenders = ContendersOf(options, 2);

  ASSERT_EQ(contenders.size(), 1u);
  EXPECT_EQ(contenders[0].program, "lockstep-bench-nccl");
  EXPECT_TRUE(contenders[0].registered);
  EXPECT_THAT(contenders[0].words, ElementsAre("run", "-np", "2", "--stdin", "none", "--backend",
                                               "nccl", "--check", "fast"));
}

TEST(ContendersTest, ADataPathIsMeasuredBesideTheUsualOne) {
  BenchOptions options;
  options.backend = BenchBackend::kTcp;
  options.encrypts_data = true;
  options.tcp_flows = 4;
  const std::vector<Contender> contenders = ContendersOf(options, 2);

  EXPECT_THAT(Names(contenders), ElementsAre("tcp encrypted flows-4", "tcp"));
  EXPECT_THAT(contenders[0].environment, ElementsAre(std::make_pair("LOCKSTEP_BENCH_SEALED", "1"),
                                                     std::make_pair("LOCKSTEP_BENCH_FLOWS", "4")));
  EXPECT_EQ(contenders[0].peer, "");
  EXPECT_THAT(contenders[1].environment, ElementsAre());
  EXPECT_EQ(contenders[1].peer, "tcp");
}

TEST(ContendersTest, KnobsAreShownAsTheyAreTyped) {
  BenchOptions options;
  options.peers = {BenchBackend::kOpenMpi, BenchBackend::kMpich};
  for (const Contender& contender : ContendersOf(options, 2)) {
    if (contender.name == "openmpi ring") {
      EXPECT_THAT(contender.knobs, HasSubstr("--mca coll_tuned_allreduce_algorithm ring"));
    }
    if (contender.name == "mpich recursive-doubling") {
      EXPECT_THAT(contender.knobs,
                  HasSubstr("MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM=recursive_doubling"));
    }
    if (contender.name == "openmpi no-cma rabenseifner") {
      EXPECT_THAT(contender.knobs,
                  HasSubstr("--mca btl_vader_single_copy_mechanism none --mca "
                            "coll_tuned_use_dynamic_rules 1 --mca coll_tuned_allreduce_algorithm"));
    }
    EXPECT_EQ(contender.peer.empty(), contender.backend == BenchBackend::kHost);
    EXPECT_THAT(contender.words, Not(Contains("--oversubscribe")));
  }
}

TEST(ContendersTest, OpenMpiYieldsWhenRanksOutnumberTheCores) {
  BenchOptions options;
  options.ranks = 4;
  options.backend = BenchBackend::kOpenMpi;
  for (const Contender& contender : ContendersOf(options, 2)) {
    EXPECT_THAT(contender.words, Contains("--oversubscribe"));
    EXPECT_THAT(contender.words, Contains("mpi_yield_when_idle"));
    EXPECT_EQ(contender.peer, "");
  }
}

TEST(ContendersTest, OverTcpPeersGetTheSameNetwork) {
  BenchOptions options;
  options.backend = BenchBackend::kTcp;
  options.peers = {BenchBackend::kOpenMpi, BenchBackend::kGloo};
  options.namespaces = {"a", "b"};
  options.interface = "eth0";
  const std::vector<Contender> contenders = ContendersOf(options, 2);

  EXPECT_THAT(
      Names(contenders),
      ElementsAre("tcp", "openmpi", "openmpi links-2", "openmpi recursive-doubling", "openmpi ring",
                  "openmpi segmented-ring-1M", "openmpi rabenseifner", "gloo ring", "gloo bcube"));
  for (const Contender& contender : contenders) {
    EXPECT_THAT(contender.namespaces, ElementsAre("a", "b")) << contender.name;
    if (contender.backend == BenchBackend::kOpenMpi) {
      EXPECT_THAT(contender.knobs, HasSubstr("--mca btl self,tcp --mca btl_tcp_if_include eth0 "
                                             "--host a:1,b:1 --mca oob_tcp_if_include eth0"));
    } else {
      EXPECT_THAT(
          contender.environment,
          Contains(std::make_pair(std::string("LOCKSTEP_BENCH_INTERFACE"), std::string("eth0"))));
      EXPECT_TRUE(contender.meets_in_folder);
    }
  }
}

TEST(ContendersTest, OursOverTcpHasARowForEachKindOfBuffer) {
  BenchOptions options;
  options.backend = BenchBackend::kTcp;
  options.plain = true;

  EXPECT_THAT(Names(ContendersOf(options, 2)), ElementsAre("tcp", "tcp plain"));
}

TEST(ContendersTest, OverTcpWithoutANetworkIsTheLoopback) {
  BenchOptions options;
  options.backend = BenchBackend::kTcp;
  options.peers = {BenchBackend::kOpenMpi};
  for (const Contender& contender : ContendersOf(options, 2)) {
    EXPECT_TRUE(contender.namespaces.empty());
    if (contender.backend == BenchBackend::kOpenMpi) {
      EXPECT_THAT(contender.knobs, HasSubstr("btl_tcp_if_include lo"));
      EXPECT_THAT(contender.words, Not(Contains("--host")));
    }
  }
}

TEST(ContendersTest, NamesAreUnique) {
  BenchOptions options;
  options.plain = true;
  options.peers = {BenchBackend::kMpich, BenchBackend::kOpenMpi, BenchBackend::kGloo};
  const std::vector<std::string> names = Names(ContendersOf(options, 2));

  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

}  // namespace
}  // namespace lockstep::launcher
