// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The table of faults: each on each backend, who is named, as what, and when. Rows: fault_table.cc;
// with LOCKSTEP_SOAK=1 all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/faults/fault_table.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// The screen wraps lines.
std::string Unwrapped(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

class FaultTableTest : public RunFixture, public ::testing::WithParamInterface<Row> {
 protected:
  static std::string Program(Backend backend) {
    switch (backend) {
      case Backend::kShm:
      case Backend::kTcp: return Runfile("tests/faults/host_fault_rank");
      case Backend::kOpenMpi: return Runfile("tests/faults/mpi_fault_rank_openmpi");
      case Backend::kMpich: return Runfile("tests/faults/mpi_fault_rank_mpich");
      case Backend::kNccl: return Runfile("tests/faults/nccl_fault_rank");
    }
    return "";
  }
  /// Whatever needs no waiting is found with the defaults.
  static bool IsHasty(const Row& row) { return row.fault->when == When::kLater && !row.by_default; }
  static std::chrono::milliseconds ActionAfter(const Row& row) {
    return IsHasty(row) ? 1500ms : 2500ms;
  }
  std::vector<std::string> Words(const Row& row) const {
    std::vector<std::string> words{"--name",
                                   "table",
                                   "--grace",
                                   "100ms",
                                   "--hang-action-after",
                                   std::to_string(ActionAfter(row).count()) + "ms"};
    if (IsHasty(row)) words.insert(words.end(), {"--hang-grace", "500ms"});
    if (row.backend == Backend::kTcp) {
      words.insert(words.end(), {"--simulate-hosts", "--nnodes", "2", "--nproc-per-node",
                                 std::to_string(row.ranks / 2)});
    } else {
      words.insert(words.end(), {"-np", std::to_string(row.ranks)});
    }
    std::string victims;
    for (const int victim : row.victims)
      victims += (victims.empty() ? "" : ",") + std::to_string(victim);
    words.push_back("--");
    if (row.backend == Backend::kNccl) {
      words.insert(words.end(),
                   {"env", "TEST_TMPDIR=" + scratch_.path(),
                    "LD_PRELOAD=" + Runfile("collectives/nccl/shim/liblockstep_nccl.so")});
    }
    for (const std::string& word :
         {Program(row.backend), std::string("--fault"), std::string(row.fault->name),
          std::string("--victim"), victims, std::string("--where"), std::string(row.where),
          std::string("--id"), scratch_.path() + "/id"})
      words.push_back(word);
    return words;
  }

  /// From the fault until the job is brought down for it, by the clock of the machine.
  std::optional<std::chrono::nanoseconds> TimeToVerdict(const std::string& err) const {
    const auto fault = NumberAfter(err, "fault at ");
    std::string events;
    for (const auto& entry : std::filesystem::directory_iterator(JobFolder("table"))) {
      if (entry.path().filename().string().starts_with("events.")) events += ReadFile(entry.path());
    }
    std::optional<int64_t> first;
    for (const std::string& line : Lines(events)) {
      if (!Contains(line, "\"signal_sent\"")) continue;
      const auto at = NumberAfter(line, "\"steady_ns\":\"");
      if (at.has_value()) first = std::min(first.value_or(*at), *at);
    }
    if (!fault.has_value() || !first.has_value()) return std::nullopt;
    return std::chrono::nanoseconds(*first - *fault);
  }

 private:
  static std::optional<int64_t> NumberAfter(const std::string& text, const std::string& what) {
    const size_t at = text.find(what);
    if (at == std::string::npos) return std::nullopt;
    return std::strtoll(text.c_str() + at + what.size(), nullptr, 10);
  }
};

/// Verdicts that need no waiting come before --hang-grace would be over twice (When::kAtOnce).
constexpr auto kAtOnceWithin = 4s;

TEST_P(FaultTableTest, IsNamed) {
  const Row& row = GetParam();
  const std::string first = std::to_string(row.victims.front());
  Command job(RunWords(Words(row)), Options());
  if (row.fault->when == When::kNoticed) {
    EXPECT_TRUE(job.WaitForOutput(
        [&](const std::string&, const std::string& err) {
          return Contains(err, "lockstep: waiting: rank " + first + " ") &&
                 Contains(err, row.fault->said);
        },
        10s));
    job.Signal(SIGTERM);
    (void)job.Wait(20s);
    return;
  }
  const Outcome run = job.Wait(30s);

  EXPECT_NE(run.status, 0) << run.err;
  EXPECT_NE(run.status, -1) << run.err;
  const std::string json = ReadFile(JobFolder("table") + "/verdict.json");
  const std::string culprits = json.substr(0, json.find("\"victims\""));
  const std::string verdict_class = row.fault->verdict_class;
  EXPECT_THAT(json,
              HasSubstr("\"class\": \"" + verdict_class + (verdict_class.empty() ? "" : "\"")))
      << run.err;
  EXPECT_THAT(culprits, HasSubstr(row.fault->said)) << run.err;
  for (const int victim : row.victims)
    EXPECT_THAT(culprits, HasSubstr("\"rank\": " + std::to_string(victim) + ",")) << run.err;
  // Of a circle all are named; else nobody else is.
  const bool is_circle = std::string(row.fault->name) == "deadlock";
  const bool is_tie = 2 * row.victims.size() == static_cast<size_t>(row.ranks);
  if (!is_circle && (!is_tie || row.fault->when == When::kLater)) {
    EXPECT_EQ(CountOf(culprits, "\"rank\": "), static_cast<int>(row.victims.size())) << json;
  }
  const bool is_noticed = Contains(Unwrapped(run.err), "lockstep: waiting: rank " + first + " ");
  EXPECT_EQ(is_noticed, row.fault->when == When::kLater) << run.err;
  const auto took = TimeToVerdict(run.err);
  ASSERT_TRUE(took.has_value()) << run.err;
  const bool waits = row.fault->when == When::kLater;
  EXPECT_GT(*took, waits ? std::chrono::nanoseconds(ActionAfter(row)) / 2 : 0ns);
  EXPECT_LT(*took, waits ? ActionAfter(row) + kAtOnceWithin : kAtOnceWithin);
  std::printf("%-40s %.2f s, %.2f s after the fault\n", row.Name().c_str(),
              std::chrono::duration<double>(run.elapsed).count(),
              std::chrono::duration<double>(*took).count());
}

INSTANTIATE_TEST_SUITE_P(All, FaultTableTest,
                         ::testing::ValuesIn(Rows(std::getenv("LOCKSTEP_SOAK") != nullptr)),
                         [](const auto& row) {
                           return row.param.Name() + "_" + std::to_string(row.index);
                         });

}  // namespace
}  // namespace lockstep::e2e
