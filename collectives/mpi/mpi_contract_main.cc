// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// One rank of the contract of each op (testing/ops_contract.h) over MPI, for mpirun:
//   mpi_contract LIBRARY FOLDER plain|checked [gtest's flags]
// Its results go to FOLDER/rank_R.xml.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "collectives/mpi/mpi_backend_maker.h"
#include "collectives/mpi/mpi_engine.h"
#include "collectives/testing/ops_contract.h"
#include "collectives/testing/rank_gang.h"

namespace lockstep::collectives::testing {
namespace {

std::shared_ptr<RankGang> gang;  // of the process, while tests run

/// A gang for each test is the one of the process.
class ThatGang final : public Gang {
 public:
  void Run(const std::function<void(Group&)>& body) override { gang->Run(body); }
};

INSTANTIATE_TEST_SUITE_P(Mpi, OpsContractTest,
                         ::testing::Values(GangKind{"World",
                                                    [] { return std::make_unique<ThatGang>(); }}),
                         GangName);

int Main(int argc, char** argv) {
  if (argc < 4) return 64;
  alarm(280);  // whatever hangs, no process of this test is left
  const auto engine = MpiEngine::Start({.plugin = argv[1]});
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 69;
  }
  const int rank = (*engine)->world_rank();
  const std::string results = std::string(argv[2]) + "/rank_" + std::to_string(rank) + ".xml";
  const MpiBackend::Config config{.check_calls = std::string_view(argv[3]) == "checked"};
  ::testing::GTEST_FLAG(output) = "xml:" + results;
  ::testing::InitGoogleTest(&argc, argv);
  gang = std::make_shared<RankGang>(rank, (*engine)->world_size(),
                                    std::make_shared<MpiBackendMaker>(*engine, config));
  const int result = RUN_ALL_TESTS();
  gang->Meet();  // mpirun ends all when one ends with an error: their results are written now
  gang.reset();
  return result;
}

}  // namespace
}  // namespace lockstep::collectives::testing

int main(int argc, char** argv) { return lockstep::collectives::testing::Main(argc, argv); }
