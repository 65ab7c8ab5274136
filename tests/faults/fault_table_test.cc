// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The table of faults: each on each backend, who is named, as what, and when. Rows: fault_table.cc;
// with LOCKSTEP_SOAK=1 all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/faults/fault_table.h"
#include "tests/faults/job_facts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAreArray;

/// What is promised, with what a busy machine needs: of a process that is gone 200 ms, which it is
/// by far; of what can be proven, and of notices, 3 s at the default of --hang-grace.
constexpr auto kDeadWithin = 1000ms;
constexpr auto kAtOnceWithin = 3000ms;
constexpr auto kNoticeWithin = 1000ms;   // after --hang-grace
constexpr auto kVerdictWithin = 2000ms;  // after --hang-action-after: stacks are read before it

/// Of several that are gone the first is the cause, whichever that was: where it ends the round
/// before the others are looked at, as also over TCP, whose peers are told of it.
bool IsOneOfThem(const Row& row) {
  const bool is_told = row.backend == Backend::kTcp && std::string_view(row.fault->name) == "exits";
  return row.fault->when == When::kDead || is_told;
}

const char* NameOf(const Row& row) {
  switch (row.fault->when) {
    case When::kAtOnce: return "at once";
    case When::kDead: return "dead";
    case When::kLater: return row.by_default ? "default" : "later";
    case When::kNoticed: return "notice";
  }
  return "";
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
  static std::chrono::milliseconds Grace(const Row& row) { return IsHasty(row) ? 500ms : 2000ms; }
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

  /// By the ranks' own word and the agents' event logs, of one clock: what the test itself waits
  /// for, and how long it is kept waiting for a processor, is not in it.
  struct Times {
    std::optional<std::chrono::nanoseconds> notice, verdict;  // since the (first) fault
  };
  Times TimesOf(const std::string& err, const std::vector<proto::Event>& events) const {
    Times times;
    const auto fault = FirstFault(err);
    if (!fault.has_value()) return times;
    if (const auto notice = FirstWaitingNotice(events); notice.has_value())
      times.notice = std::chrono::nanoseconds(notice->steady_ns() - *fault);
    if (const auto signal = FirstSignal(events); signal.has_value())
      times.verdict = std::chrono::nanoseconds(*signal - *fault);
    return times;
  }

  void ExpectNotice(const Row& row, const std::vector<proto::Event>& events, const Times& times) {
    const auto event = FirstWaitingNotice(events);
    ASSERT_TRUE(event.has_value() && times.notice.has_value());
    const proto::Notice& notice = event->notice();
    if (IsCircle(row)) {
      EXPECT_THAT(notice.ranks(), IsSupersetOf(row.victims)) << notice.text();
      EXPECT_THAT(notice.text(), HasSubstr(" wait for each other in different groups"));
    } else {
      EXPECT_THAT(notice.ranks(), UnorderedElementsAreArray(row.victims)) << notice.text();
      EXPECT_THAT(notice.text(), HasSubstr(row.fault->said));
    }
    EXPECT_GT(*times.notice, Grace(row) / 2);
    EXPECT_LT(*times.notice, Grace(row) + kNoticeWithin);
  }

  /// Those who were guilty, and nobody else.
  void ExpectVerdict(const Row& row, const proto::Verdict& verdict) {
    const std::string all = verdict.ShortDebugString();
    const std::string verdict_class = row.fault->verdict_class;
    EXPECT_TRUE(verdict_class.empty() || ClassOf(verdict) == verdict_class) << all;
    EXPECT_THAT(ReasonsOf(verdict), AllOf(Not(IsEmpty()), Each(HasSubstr(row.fault->said)))) << all;
    if (IsCircle(row)) {
      EXPECT_THAT(CulpritsOf(verdict), IsSupersetOf(row.victims)) << all;
      EXPECT_GE(verdict.culprits_size(), 2) << all;
    } else if (IsOneOfThem(row)) {
      EXPECT_THAT(row.victims, IsSupersetOf(CulpritsOf(verdict))) << all;
    } else {
      EXPECT_THAT(CulpritsOf(verdict), UnorderedElementsAreArray(row.victims)) << all;
    }
    if (std::string_view(row.where) == "inside") ExpectOpOfTheHeld(row, verdict);
  }

  /// Of one that is held, or was ended, inside of an op: which, and where it was called.
  static void ExpectOpOfTheHeld(const Row& row, const proto::Verdict& verdict) {
    // An MPI counts MPI_Init, too.
    const bool is_mpi = row.backend == Backend::kOpenMpi || row.backend == Backend::kMpich;
    const bool is_ours = row.backend == Backend::kShm || row.backend == Backend::kTcp;
    const std::string program = Program(row.backend).substr(Program(row.backend).rfind('/') + 1);
    const std::string was = row.fault->when == When::kDead ? " was in " : " is in ";
    const std::string op = is_mpi    ? ", op 12 of group MPI_COMM_WORLD"
                           : is_ours ? ", op 11 of group world"
                                     : ", op 11 of group NCCL .*";
    const std::string site = is_ours ? "_main[.]cc:[0-9]+" : "[+]0x[0-9a-f]+";
    EXPECT_THAT(LinesOf(verdict, proto::Evidence::WAITS),
                ::testing::Contains(ContainsRegex("^rank " + std::to_string(row.victims[0]) + was +
                                                  "all_reduce[(]f32, sum, [0-9]+[)]" + op + " at " +
                                                  program + site + ", called ")));
  }

  static bool IsCircle(const Row& row) { return std::string(row.fault->name) == "deadlock"; }

 private:
  /// Which is the earliest, by the clock of the event log.
  static std::optional<int64_t> FirstFault(const std::string& err) {
    static constexpr std::string_view kWords = "fault at ";
    std::optional<int64_t> first;
    for (size_t at = err.find(kWords); at != std::string::npos; at = err.find(kWords, at + 1)) {
      const int64_t time = std::strtoll(err.c_str() + at + kWords.size(), nullptr, 10);
      first = std::min(first.value_or(time), time);
    }
    return first;
  }
};

TEST_P(FaultTableTest, IsNamed) {
  const Row& row = GetParam();
  Command job(RunWords(Words(row)), Options());
  if (row.fault->when == When::kNoticed) {
    EXPECT_TRUE(job.WaitForOutput(
        [](const std::string&, const std::string& err) {
          return Contains(err, "lockstep: waiting: rank ");
        },
        10s));
    job.Signal(SIGTERM);
  }
  const Outcome run = job.Wait(30s);
  const std::vector<proto::Event> events = EventsIn(JobFolder("table"));
  const Times times = TimesOf(run.err, events);
  SCOPED_TRACE(run.err);

  EXPECT_NE(run.status, 0);
  EXPECT_NE(run.status, -1);
  if (row.fault->when == When::kLater || row.fault->when == When::kNoticed) {
    ExpectNotice(row, events, times);
  } else {
    EXPECT_FALSE(times.notice.has_value()) << "what can be proven is no notice first";
  }
  if (row.fault->when != When::kNoticed) {
    ExpectVerdict(row, VerdictIn(JobFolder("table")));
    ASSERT_TRUE(times.verdict.has_value());
    const bool waits = row.fault->when == When::kLater;
    EXPECT_GE(*times.verdict, waits ? ActionAfter(row) / 2 : 0ms);
    EXPECT_LT(*times.verdict, waits                            ? ActionAfter(row) + kVerdictWithin
                              : row.fault->when == When::kDead ? kDeadWithin
                                                               : kAtOnceWithin);
  }
  // For docs/performance.md.
  const auto seconds = [](const std::optional<std::chrono::nanoseconds>& time) {
    return time.has_value() ? std::chrono::duration<double>(*time).count() : -1.0;
  };
  std::printf("after the fault: %-34s %-7s notice %.3f s, verdict %.3f s\n", row.Name().c_str(),
              NameOf(row), seconds(times.notice), seconds(times.verdict));
}

INSTANTIATE_TEST_SUITE_P(All, FaultTableTest,
                         ::testing::ValuesIn(Rows(std::getenv("LOCKSTEP_SOAK") != nullptr)),
                         [](const auto& row) {
                           return row.param.Name() + "_" + std::to_string(row.index);
                         });

}  // namespace
}  // namespace lockstep::e2e
