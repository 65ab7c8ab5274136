// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What every runner of processes owes its user, over the real one (with each way to hold a tree
// that works here) and the simulated one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/loop.h"
#include "runtime/event/sim_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"
#include "runtime/process/real_processes.h"
#include "runtime/process/sim_processes.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr base::Duration kLongTime = seconds(30);

/// A program in both forms.
struct Behaviour {
  std::vector<std::string> actions;  // of troublemaker
  SimProgram script;
};

Behaviour ExitsWith(int code) {
  return {{"exit", std::to_string(code)},
          {.runs_for = milliseconds(1), .ends_with = {.code = code}}};
}
Behaviour RunsForEver() { return {{"sleep"}, {}}; }
Behaviour IgnoresTerm() {
  return {{"ignore", "15", "print", "ready", "sleep"}, {.ignores_term = true}};
}
Behaviour LeavesADaemon() {
  return {{"double-fork", "exit", "0"}, {.runs_for = milliseconds(1), .leaves_descendants = true}};
}

class Runner {
 public:
  virtual ~Runner() = default;
  virtual event::Loop& loop() = 0;
  virtual Processes& processes() = 0;
  virtual SpawnSpec Program(const std::string& name, const Behaviour& behaviour) = 0;
  virtual bool HasStopped(pid_t pid) = 0;
};

class RealRunner final : public Runner {
 public:
  explicit RealRunner(RealProcesses::Config config)
      : loop_(event::EpollLoop::Create(clock_).value()),
        processes_(RealProcesses::Create(std::move(config), *loop_)) {}
  bool works() const { return processes_.ok(); }
  std::string why_not() const { return processes_.status().ToString(); }

  event::Loop& loop() override { return *loop_; }
  Processes& processes() override { return **processes_; }
  SpawnSpec Program(const std::string& name, const Behaviour& behaviour) override {
    SpawnSpec spec{.name = name, .arguments = {"runtime/process/testing/troublemaker"}};
    for (const std::string& action : behaviour.actions) spec.arguments.push_back(action);
    return spec;
  }
  bool HasStopped(pid_t pid) override { return ReadProcStat(pid)->state == 'T'; }

 private:
  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  base::Result<std::unique_ptr<RealProcesses>> processes_;
};

class SimRunner final : public Runner {
 public:
  event::Loop& loop() override { return loop_; }
  Processes& processes() override { return processes_; }
  SpawnSpec Program(const std::string& name, const Behaviour& behaviour) override {
    processes_.SetProgram(name, behaviour.script);
    return SpawnSpec{.name = name, .arguments = {name}};
  }
  bool HasStopped(pid_t) override { return true; }

 private:
  event::SimLoop loop_;
  SimProcesses processes_{loop_, 1};
};

struct Kind {
  std::string name;
  std::optional<RealProcesses::Config> real;  // nullopt = simulated

  friend void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }
};

class ProcessesContractTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!GetParam().real) {
      runner_ = std::make_unique<SimRunner>();
      return;
    }
    auto real = std::make_unique<RealRunner>(*GetParam().real);
    if (!real->works()) GTEST_SKIP() << real->why_not();
    runner_ = std::move(real);
  }

  event::Loop& loop() { return runner_->loop(); }
  bool Wait(const std::function<bool()>& done) {
    return event::testing::RunUntil(loop(), done, kLongTime);
  }

  base::Result<std::unique_ptr<Process>> Spawn(const Behaviour& behaviour, ExitCallback on_exit) {
    return runner_->processes().Spawn(runner_->Program("rank-0", behaviour), std::move(on_exit));
  }
  /// Spawns and keeps how it ends.
  std::unique_ptr<Process> Run(const Behaviour& behaviour) {
    return Spawn(behaviour,
                 [this](const Exit& exit) {
                   EXPECT_FALSE(exit_) << "reported twice";
                   exit_ = exit;
                 })
        .value();
  }
  void KillAndWait(Process& process) {
    std::optional<base::Status> gone;
    process.KillAll(kLongTime, [&](const base::Status& status) { gone = status; });
    ASSERT_TRUE(Wait([&] { return gone.has_value(); }));
    EXPECT_THAT(*gone, IsOk());
  }

  std::unique_ptr<Runner> runner_;
  std::optional<Exit> exit_;
};

TEST_P(ProcessesContractTest, ReportsTheExitCodeOnceAndNotInsideSpawn) {
  const auto process = Run(ExitsWith(3));
  EXPECT_FALSE(exit_);
  EXPECT_GT(process->pid(), 0);

  ASSERT_TRUE(Wait([&] { return exit_.has_value(); }));

  EXPECT_EQ(exit_->code, 3);
  EXPECT_EQ(exit_->signal, 0);
  EXPECT_EQ(exit_->StatusCode(), 3);
  EXPECT_EQ(exit_->at, process->exit()->at);
  EXPECT_LE(exit_->at, loop().Now());
  KillAndWait(*process);
}

TEST_P(ProcessesContractTest, ReportsTheSignalThatKilledTheLeader) {
  const auto process = Run(RunsForEver());

  EXPECT_THAT(process->SignalLeader(SIGTERM), IsOk());
  EXPECT_FALSE(exit_);
  ASSERT_TRUE(Wait([&] { return exit_.has_value(); }));

  EXPECT_EQ(exit_->signal, SIGTERM);
  EXPECT_EQ(exit_->StatusCode(), 143);
  EXPECT_EQ(exit_->ToString(), "signal 15 (SIGTERM)");
}

TEST_P(ProcessesContractTest, KillWithoutWantOfMemoryIsNotCalledSo) {
  const auto process = Run(RunsForEver());

  EXPECT_THAT(process->SignalLeader(SIGKILL), IsOk());
  ASSERT_TRUE(Wait([&] { return exit_.has_value(); }));

  EXPECT_EQ(exit_->signal, SIGKILL);
  EXPECT_FALSE(exit_->out_of_memory);
}

TEST_P(ProcessesContractTest, SignallingOneThatHasEndedIsNoError) {
  const auto process = Run(ExitsWith(0));
  ASSERT_TRUE(Wait([&] { return exit_.has_value(); }));

  EXPECT_THAT(process->SignalLeader(SIGTERM), IsOk());
  EXPECT_THAT(process->SignalAll(SIGTERM), IsOk());

  EXPECT_EQ(exit_->code, 0);
}

TEST_P(ProcessesContractTest, KillAllReportsTheExitFirstAndNothingInsideTheCall) {
  const auto process = Run(IgnoresTerm());
  std::optional<base::Status> gone;

  process->KillAll(kLongTime, [&](const base::Status& status) {
    EXPECT_TRUE(exit_.has_value());
    EXPECT_FALSE(gone) << "reported twice";
    gone = status;
  });
  EXPECT_FALSE(exit_);
  EXPECT_FALSE(gone);
  ASSERT_TRUE(Wait([&] { return gone.has_value(); }));

  EXPECT_THAT(*gone, IsOk());
  EXPECT_EQ(exit_->signal, SIGKILL);
}

TEST_P(ProcessesContractTest, KillAllEndsAStoppedProcess) {
  const auto process = Run(RunsForEver());
  EXPECT_THAT(process->SignalAll(SIGSTOP), IsOk());
  ASSERT_TRUE(Wait([&] { return runner_->HasStopped(process->pid()); }));

  KillAndWait(*process);

  EXPECT_EQ(exit_->signal, SIGKILL);
}

TEST_P(ProcessesContractTest, StoppedProcessTakesItsTermWhenItContinues) {
  const auto process = Run(RunsForEver());
  EXPECT_THAT(process->SignalAll(SIGSTOP), IsOk());
  // A TERM that comes before the process has taken the STOP is taken first: it has the lower
  // number.
  ASSERT_TRUE(Wait([&] { return runner_->HasStopped(process->pid()); }));
  EXPECT_THAT(process->SignalLeader(SIGTERM), IsOk());
  bool over = false;
  event::Registration timer = loop().After(milliseconds(20), [&] { over = true; });
  ASSERT_TRUE(Wait([&] { return over; }));
  EXPECT_FALSE(exit_);

  EXPECT_THAT(process->SignalAll(SIGCONT), IsOk());

  ASSERT_TRUE(Wait([&] { return exit_.has_value(); }));
  EXPECT_EQ(exit_->signal, SIGTERM);
}

TEST_P(ProcessesContractTest, KillAllAfterTheLeadersEndEndsWhatItLeft) {
  const auto process = Run(LeavesADaemon());
  ASSERT_TRUE(Wait([&] { return exit_.has_value(); }));

  KillAndWait(*process);
  KillAndWait(*process);  // nothing is left: still answers
}

TEST_P(ProcessesContractTest, ProcessMayBeDestroyedInEitherCallback) {
  std::unique_ptr<Process> first;
  int exits = 0;
  first = Spawn(ExitsWith(0), [&](const Exit&) {
            ++exits;
            first.reset();
          }).value();
  std::unique_ptr<Process> second = Spawn(RunsForEver(), [&](const Exit&) { ++exits; }).value();
  second->KillAll(kLongTime, [&](const base::Status&) { second.reset(); });

  ASSERT_TRUE(Wait([&] { return first == nullptr && second == nullptr; }));

  EXPECT_EQ(exits, 2);
}

TEST_P(ProcessesContractTest, DestroyedProcessReportsNothing) {
  auto process =
      Spawn(RunsForEver(), [](const Exit&) { ADD_FAILURE() << "its owner is gone"; }).value();
  process->KillAll(kLongTime, [](const base::Status&) { ADD_FAILURE() << "its owner is gone"; });

  process.reset();

  bool over = false;
  event::Registration timer = loop().After(milliseconds(50), [&] { over = true; });
  ASSERT_TRUE(Wait([&] { return over; }));
}

TEST_P(ProcessesContractTest, SpawnFailureIsAStatusAndNoCallback) {
  Behaviour missing = RunsForEver();
  missing.script.spawn = base::NotFoundError("start rank-0: no such file");
  SpawnSpec spec = runner_->Program("rank-0", missing);
  spec.arguments = {"/no/such/program"};

  const auto process = runner_->processes().Spawn(
      spec, [](const Exit&) { ADD_FAILURE() << "there never was a process"; });

  EXPECT_THAT(process, StatusIs(Code::kNotFound, HasSubstr("rank-0")));
}

TEST_P(ProcessesContractTest, ManyAtOnceAreToldApart) {
  std::vector<SpawnRequest> requests;
  std::vector<std::unique_ptr<Process>> processes(32);
  std::vector<int> codes(32, -1);
  int left = 32;
  for (int i = 0; i < 32; ++i) {
    requests.push_back(
        {runner_->Program("rank-" + std::to_string(i), ExitsWith(i)), [&, i](const Exit& exit) {
           codes[i] = exit.code;
           processes[i].reset();
           --left;
         }});
  }

  std::vector<SpawnResult> results = runner_->processes().SpawnAll(std::move(requests));

  ASSERT_EQ(results.size(), 32u);
  for (int i = 0; i < 32; ++i) processes[i] = std::move(results[i]).value();
  ASSERT_TRUE(Wait([&] { return left == 0; }));
  for (int i = 0; i < 32; ++i) EXPECT_EQ(codes[i], i);
}

TEST_P(ProcessesContractTest, FailureOfOneDoesNotTouchTheOthers) {
  Behaviour missing = RunsForEver();
  missing.script.spawn = base::NotFoundError("start rank-1: no such file");
  std::vector<SpawnRequest> requests;
  std::vector<std::optional<Exit>> exits(3);
  for (int i = 0; i < 3; ++i) {
    requests.push_back(
        {runner_->Program("rank-" + std::to_string(i), i == 1 ? missing : ExitsWith(i)),
         [&, i](const Exit& exit) { exits[i] = exit; }});
  }
  requests[1].spec.arguments = {"/no/such/program"};

  const std::vector<SpawnResult> results = runner_->processes().SpawnAll(std::move(requests));

  ASSERT_EQ(results.size(), 3u);
  EXPECT_THAT(results[1], StatusIs(Code::kNotFound, HasSubstr("rank-1")));
  ASSERT_TRUE(Wait([&] { return exits[0] && exits[2]; }));
  EXPECT_EQ(exits[0]->code, 0);
  EXPECT_EQ(exits[2]->code, 2);
  EXPECT_FALSE(exits[1]);
}

TEST_P(ProcessesContractTest, NothingIsSpawnedForNoRequest) {
  EXPECT_TRUE(runner_->processes().SpawnAll({}).empty());
}

INSTANTIATE_TEST_SUITE_P(
    , ProcessesContractTest,
    ::testing::Values(
        Kind{"Simulated", std::nullopt},
        Kind{"RealBest", RealProcesses::Config{.mark = "contract"}},
        Kind{"RealCgroupV2",
             RealProcesses::Config{.mark = "contract", .containment = Containment::kCgroupV2}},
        Kind{"RealCgroupV1",
             RealProcesses::Config{.mark = "contract", .containment = Containment::kCgroupV1}},
        Kind{"RealMark",
             RealProcesses::Config{.mark = "contract", .containment = Containment::kSubreaperMark}},
        Kind{"RealWithoutPidfd", RealProcesses::Config{.mark = "contract",
                                                       .containment = Containment::kSubreaperMark,
                                                       .use_pidfd = false}}),
    [](const auto& kind) { return kind.param.name; });

TEST(SimProcessesTest, StuckProcessIsReportedWhenTheDeadlinePasses) {
  event::SimLoop loop;
  SimProcesses processes(loop, 1);
  processes.SetProgram("rank-0", {.stuck = true});
  ASSERT_OK_AND_ASSIGN(const auto process,
                       processes.Spawn({.name = "rank-0", .arguments = {"x"}},
                                       [](const Exit&) { ADD_FAILURE() << "it cannot die"; }));
  const base::SteadyTime start = loop.Now();
  std::optional<base::Status> gone;

  process->KillAll(seconds(5), [&](const base::Status& status) { gone = status; });
  ASSERT_TRUE(loop.RunUntil([&] { return gone.has_value(); }, seconds(6)));

  EXPECT_THAT(*gone, StatusIs(Code::kDeadlineExceeded, HasSubstr("5s")));
  EXPECT_EQ(loop.Now(), start + seconds(5));
  EXPECT_EQ(processes.AliveCount(), 1);
}

TEST(SimProcessesTest, SameSeedReplaysTheSameTimes) {
  const auto run = [](uint64_t seed) {
    event::SimLoop loop;
    SimProcesses processes(loop, seed);
    processes.SetProgram("rank-0", {.runs_for = seconds(1)});
    std::vector<base::Duration> ends;
    std::vector<std::unique_ptr<Process>> all;
    for (int i = 0; i < 8; ++i) {
      all.push_back(
          processes
              .Spawn({.name = "rank-0", .arguments = {"x"}},
                     [&](const Exit& exit) { ends.push_back(exit.at.time_since_epoch()); })
              .value());
    }
    EXPECT_TRUE(loop.RunUntil([&] { return ends.size() == 8; }, seconds(2)));
    return ends;
  };

  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

}  // namespace
}  // namespace lockstep::process
