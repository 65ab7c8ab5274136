// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Spawning: what a child starts with, and what becomes of one that cannot start.
#include "runtime/process/real_processes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/base/testing/named_tracers.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"
#include "runtime/process/test_host.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::NamedTracers;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using ::testing::AllOf;
using testing::Collected;
using testing::Folder;
using ::testing::HasSubstr;
using testing::Host;
using testing::kTroublemaker;
using testing::Requests;
using testing::WriteFile;

class RealProcessesTest : public ::testing::Test {
 protected:
  Host host_{{.mark = "test"}};

  /// Runs the program to its end and returns what it printed.
  std::string Output(SpawnSpec spec) {
    Collected output(host_.loop());
    spec.name = "rank-0";
    spec.fds.push_back({output.child_end(), 1});
    std::optional<Exit> exit;
    auto process = host_.processes().Spawn(spec, [&](const Exit& how) { exit = how; });
    output.CloseChildEnd();
    EXPECT_THAT(process, IsOk());
    EXPECT_TRUE(host_.Wait([&] { return exit && output.at_end(); }));
    EXPECT_EQ(exit->ToString(), "exit code 0");
    return output.text();
  }
  base::Status SpawnError(SpawnSpec spec) {
    spec.name = "rank-3";
    auto process = host_.processes().Spawn(spec, [](const Exit&) {});
    return process.status();
  }
};

TEST_F(RealProcessesTest, ChildHasExactlyTheDescriptorsItWasGiven) {
  // Some without close-on-exec, as a library might leave them.
  const base::UniqueFd leaked(::open("/dev/null", O_RDONLY));
  const base::UniqueFd high(::fcntl(leaked.get(), F_DUPFD, 900));
  const base::UniqueFd given(::open("/dev/zero", O_RDONLY | O_CLOEXEC));

  EXPECT_EQ(Output({.arguments = {kTroublemaker, "fds"}}), "fd 0\nfd 1\nfd 2\n");
  EXPECT_EQ(
      Output({.arguments = {kTroublemaker, "fds"}, .fds = {{given.get(), 7}, {given.get(), 12}}}),
      "fd 0\nfd 1\nfd 2\nfd 7\nfd 12\n");
}

TEST_F(RealProcessesTest, DescriptorsMaySwapNumbers) {
  Folder folder;
  const base::UniqueFd a(::open(folder.Write("a", "a", 0644).c_str(), O_RDONLY | O_CLOEXEC));
  const base::UniqueFd b(::open(folder.Write("b", "b", 0644).c_str(), O_RDONLY | O_CLOEXEC));
  const std::string script =
      "cat /proc/self/fd/" + std::to_string(a.get()) + " /proc/self/fd/" + std::to_string(b.get());

  // Each takes the other's number in the child.
  EXPECT_EQ(
      Output({.arguments = {"sh", "-c", script}, .fds = {{a.get(), b.get()}, {b.get(), a.get()}}}),
      "ba");
  EXPECT_EQ(
      Output({.arguments = {"sh", "-c", script}, .fds = {{a.get(), a.get()}, {b.get(), b.get()}}}),
      "ab");
}

TEST_F(RealProcessesTest, ChildStartsWithACleanSlate) {
  Folder folder;
  struct sigaction before_usr1{};
  struct sigaction before_pipe{};
  struct sigaction handler{};
  handler.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &handler, &before_usr1);
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before_pipe);
  const std::string text = Output({.arguments = {kTroublemaker, "state"}});
  const std::string with_everything =
      Output({.arguments = {std::filesystem::absolute(kTroublemaker), "state"},
              .working_directory = folder.path(),
              .limits = {{RLIMIT_NOFILE, {64, 128}}, {RLIMIT_CORE, {0, 0}}},
              .umask = 027});
  ::sigaction(SIGUSR1, &before_usr1, nullptr);
  ::sigaction(SIGPIPE, &before_pipe, nullptr);

  EXPECT_THAT(text,
              AllOf(HasSubstr("blocked:\n"), HasSubstr("ignored:\n"), HasSubstr("session: own\n"),
                    HasSubstr("group: own\n"), HasSubstr("terminal: none\n")));
  EXPECT_THAT(with_everything,
              AllOf(HasSubstr("umask: 23\n"), HasSubstr("nofile: 64 128\n"), HasSubstr("core: 0\n"),
                    HasSubstr("folder: " + folder.path() + "\n")));
}

TEST_F(RealProcessesTest, IgnoredHangUpStaysIgnoredAsNohupWantsIt) {
  struct sigaction before{};
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGHUP, &ignore, &before);
  const std::string text = Output({.arguments = {kTroublemaker, "state"}});
  ::sigaction(SIGHUP, &before, nullptr);

  EXPECT_THAT(text, HasSubstr("ignored: 1\n"));
}

TEST_F(RealProcessesTest, PtyBecomesTheControllingTerminal) {
  int master = -1;
  int slave = -1;
  ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  const base::UniqueFd master_fd(master);
  const base::UniqueFd slave_fd(slave);

  EXPECT_THAT(Output({.arguments = {kTroublemaker, "state"}, .controlling_terminal_fd = slave}),
              HasSubstr("terminal: yes\n"));
}

TEST_F(RealProcessesTest, EnvironmentIsTheGivenOneAndTheMark) {
  EXPECT_EQ(Output({.arguments = {"/usr/bin/env"}, .environment = {"A=1", "B=two words"}}),
            "A=1\nB=two words\nLOCKSTEP_MARK=test/rank-0/0/\n");
  // A job within a rank of another job carries both marks.
  EXPECT_EQ(
      Output({.arguments = {"/usr/bin/env"}, .environment = {"LOCKSTEP_MARK=outer/rank-1/0/"}}),
      "LOCKSTEP_MARK=outer/rank-1/0/;test/rank-0/1/\n");
}

TEST_F(RealProcessesTest, ProgramIsLookedUpOnThePathOfItsOwnEnvironment) {
  Folder folder;
  folder.Write("prog", "#!/bin/sh\necho found\n", 0755);
  Folder decoy;
  decoy.Write("prog", "#!/bin/sh\necho wrong\n", 0644);

  EXPECT_EQ(Output({.arguments = {"prog"},
                    .environment = {"PATH=/nonexistent:" + decoy.path() + ":" + folder.path()}}),
            "found\n");
  EXPECT_EQ(Output({.arguments = {"./prog"}, .working_directory = folder.path()}), "found\n");
  EXPECT_EQ(
      Output(
          {.arguments = {"prog"}, .environment = {"PATH=."}, .working_directory = folder.path()}),
      "found\n");
}

TEST_F(RealProcessesTest, MissingProgramsAreExplained) {
  Folder folder;
  const std::string script = folder.Write("train.py", "#!/opt/no/python9 -u\nprint(1)\n", 0755);
  const std::string dos = folder.Write("dos.sh", "#!/bin/sh\r\necho\r\n", 0755);
  folder.Write("here", "#!/bin/sh\n", 0755);

  EXPECT_THAT(
      SpawnError({.arguments = {"/no/such/program"}}),
      StatusIs(Code::kNotFound, AllOf(HasSubstr("start rank-3"), HasSubstr("/no/such/program"))));
  EXPECT_THAT(SpawnError({.arguments = {"no-such-program"}, .environment = {"PATH=/bin:/usr/bin"}}),
              StatusIs(Code::kNotFound, HasSubstr("on PATH (/bin:/usr/bin)")));
  EXPECT_THAT(SpawnError({.arguments = {"here"},
                          .environment = {"PATH=/bin"},
                          .working_directory = folder.path()}),
              StatusIs(Code::kNotFound, HasSubstr("write ./here")));
  EXPECT_THAT(
      SpawnError({.arguments = {script}}),
      StatusIs(Code::kNotFound, AllOf(HasSubstr(script), HasSubstr("\"/opt/no/python9\""))));
  EXPECT_THAT(SpawnError({.arguments = {dos}}),
              StatusIs(Code::kNotFound, HasSubstr("carriage return")));
  EXPECT_THAT(SpawnError({.arguments = {"/bin/true"}, .working_directory = "/no/such/folder"}),
              StatusIs(Code::kNotFound, HasSubstr("working directory /no/such/folder")));
  EXPECT_THAT(SpawnError({.arguments = {""}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("empty")));
}

TEST_F(RealProcessesTest, ProgramsThatCannotRunAreExplained) {
  Folder folder;
  const std::string plain = folder.Write("plain", "#!/bin/sh\n", 0644);
  const std::string text = folder.Write("text", "no first line\n", 0755);
  std::string elf(64, '\0');
  elf.replace(0, 4,
              "\x7f"
              "ELF");
  elf[4] = 2;  // 64 bits
  elf[5] = 1;  // little endian
  elf[6] = 1;
  elf[16] = 2;                       // an executable
  elf[18] = static_cast<char>(183);  // for aarch64
  const std::string foreign = folder.Write("foreign", elf, 0755);

  EXPECT_THAT(SpawnError({.arguments = {plain}}),
              StatusIs(Code::kPermissionDenied, AllOf(HasSubstr("chmod +x"), HasSubstr(plain))));
  EXPECT_THAT(SpawnError({.arguments = {"plain"}, .environment = {"PATH=" + folder.path()}}),
              StatusIs(Code::kPermissionDenied, HasSubstr("chmod +x " + plain)));
  EXPECT_THAT(SpawnError({.arguments = {folder.path()}}),
              StatusIs(Code::kPermissionDenied, HasSubstr("is a folder")));
  EXPECT_THAT(SpawnError({.arguments = {text}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("#!/bin/sh")));
  EXPECT_THAT(SpawnError({.arguments = {foreign}}),
              StatusIs(Code::kInvalidArgument, AllOf(HasSubstr("aarch64"), HasSubstr("x86-64"))));
  EXPECT_THAT(SpawnError({.arguments = {"/bin/true", std::string(200'000, 'x')}}),
              StatusIs(Code::kResourceExhausted, HasSubstr("E2BIG")));
  EXPECT_THAT(SpawnError({.arguments = {"/bin/true"}, .limits = {{9999, {1, 1}}}}),
              StatusIs(Code::kInvalidArgument, HasSubstr("resource limit 9999")));
}

TEST_F(RealProcessesTest, OrphansAreReapedWhileTheirRankRunsOn) {
  Collected output(host_.loop());
  const auto process =
      host_.Spawn("sh", {"-c", "(sh -c 'echo pid $$; exit 0' &) ; sleep 100"}, output);
  ASSERT_NE(process, nullptr);
  ASSERT_TRUE(host_.Wait([&] { return output.Pids().size() == 1; }));

  const pid_t orphan = output.Pids()[0];
  EXPECT_TRUE(host_.Wait([&] { return !ReadProcStat(orphan); })) << "still a zombie";
}

TEST_F(RealProcessesTest, ChildrenOfABatchAreKeptApart) {
  for (int run = 0; run < 20; ++run) {
    std::vector<SpawnRequest> requests;
    std::vector<std::unique_ptr<Collected>> outputs;
    for (int i = 0; i < 16; ++i) {
      outputs.push_back(std::make_unique<Collected>(host_.loop()));
      // Half of them fail, each in a way of its own.
      SpawnSpec spec{.name = "rank-" + std::to_string(i),
                     .arguments = {"/bin/echo", std::to_string(i)},
                     .fds = {{outputs.back()->child_end(), 1}}};
      if (i % 4 == 1) spec.arguments = {"/no/such/program-" + std::to_string(i)};
      if (i % 4 == 3) spec.working_directory = "/no/such/folder-" + std::to_string(i);
      requests.push_back({std::move(spec), [](const Exit&) {}});
    }
    std::vector<SpawnResult> results = host_.processes().SpawnAll(std::move(requests));
    for (auto& output : outputs) output->CloseChildEnd();

    for (int i = 0; i < 16; ++i) {
      const std::string number = std::to_string(i);
      if (i % 4 == 1) {
        EXPECT_THAT(results[i], StatusIs(Code::kNotFound, HasSubstr("program-" + number)));
      } else if (i % 4 == 3) {
        EXPECT_THAT(results[i], StatusIs(Code::kNotFound, HasSubstr("folder-" + number)));
      } else {
        ASSERT_THAT(results[i], IsOk());
        ASSERT_TRUE(host_.Wait([&] { return outputs[i]->at_end() && (*results[i])->exit(); }));
        EXPECT_EQ(outputs[i]->text(), number + "\n");
      }
    }
  }
}

TEST(RealProcessesStartTest, ChildrenNameTheirParentAsTheirTracer) {
  std::thread([] {
    NamedTracers tracers;
    if (!tracers.works()) GTEST_SKIP() << "nobody tells of the calls of others here";
    Host host({.mark = "named"});
    std::optional<Exit> exit;
    const auto process = host.processes().Spawn({.name = "rank-0", .arguments = {"/bin/true"}},
                                                [&](const Exit& how) { exit = how; });
    ASSERT_THAT(process, IsOk());
    EXPECT_TRUE(host.Wait([&] { return exit.has_value(); }));
    EXPECT_THAT(tracers.Pids(), ::testing::ElementsAre(::getpid()));
  }).join();
}

TEST(RealProcessesStartTest, ChildThatHangsOnItsWayToExecIsGivenUp) {
  // Only calls of children are counted: the first is setsid.
  FaultPlan faults{.calls_until_failure = 0, .error = FaultPlan::kHang};
  Host host({.mark = "hang",
             .containment = Containment::kSubreaperMark,
             .start_limit = milliseconds(200),
             .faults = &faults});

  const auto process =
      host.processes().Spawn({.name = "rank-0", .arguments = {"/bin/true"}}, [](const Exit&) {});

  EXPECT_THAT(process,
              StatusIs(Code::kDeadlineExceeded, AllOf(HasSubstr("/bin/true"), HasSubstr("200ms"))));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child is left";
}

TEST(RealProcessesStartTest, OneThatHangsIsGivenUpAndTheOthersRun) {
  FaultPlan faults{.calls_until_failure = 0, .error = FaultPlan::kHang};
  Host host({.mark = "hang", .start_limit = milliseconds(300), .faults = &faults});

  // Who gets there first is chance.
  std::vector<SpawnResult> results =
      host.processes().SpawnAll(Requests(8, {.arguments = {"sleep", "60"}}));

  int hung = 0;
  for (SpawnResult& result : results) {
    if (result.ok()) {
      EXPECT_EQ(ReadProcStat((*result)->pid())->name, "sleep");
      EXPECT_OK(host.KillAll(**result));
    } else {
      EXPECT_THAT(result, StatusIs(Code::kDeadlineExceeded, HasSubstr("300ms")));
      ++hung;
    }
  }
  EXPECT_EQ(hung, 1);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child is left";
}

TEST(RealProcessesStartTest, ChildThatEvenKillDoesNotEndIsLeftToDieLater) {
  Host host(
      {.mark = "frozen", .containment = Containment::kCgroupV1, .start_limit = milliseconds(100)});
  if (!host.works() || host.processes().containment().find("freezer") == std::string::npos)
    GTEST_SKIP() << "no freezer cgroup (v1) that may be written";
  const std::string described = host.processes().containment();
  const std::string folder = described.substr(described.find('/'));
  WriteFile(folder + "/freezer.state", "FROZEN");

  // They write themselves into a cgroup that is frozen with the one around it.
  std::vector<SpawnResult> results =
      host.processes().SpawnAll(Requests(2, {.arguments = {"/bin/true"}}));

  EXPECT_THAT(results[0], StatusIs(Code::kDeadlineExceeded, HasSubstr("cgroup frozen")));
  EXPECT_THAT(results[1], StatusIs(Code::kDeadlineExceeded, HasSubstr("rank-1")));
  WriteFile(folder + "/freezer.state", "THAWED");
  EXPECT_TRUE(host.Wait([] { return ::waitpid(-1, nullptr, WNOHANG | __WALL | WNOWAIT) == -1; }))
      << "they die as soon as they are let";
  // Nothing is broken.
  Collected output(host.loop());
  const auto process = host.Spawn(kTroublemaker, {"print", "ready", "sleep"}, output);
  ASSERT_NE(process, nullptr);
  EXPECT_TRUE(host.Wait([&] { return output.Has("ready"); }));
}

/// What a spawn may fail at: each call in turn, in the parent and in the child.
TEST(RealProcessesFaultTest, AnyFailingCallIsAStatusAndLeavesNothingBehind) {
  FaultPlan faults;
  Host host({.mark = "faults", .faults = &faults});
  ASSERT_TRUE(host.works()) << host.status();
  Folder folder;
  const base::UniqueFd given(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const SpawnSpec spec{.name = "rank-0",
                       .arguments = {"/bin/true"},
                       .working_directory = folder.path(),
                       .fds = {{given.get(), 5}},
                       .limits = {{RLIMIT_CORE, {0, 0}}}};
  const auto count_fds = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const auto before = count_fds();
  int failures = 0;
  for (int k = 0;; ++k) {
    ASSERT_LT(k, 100);
    faults = {.calls_until_failure = k, .error = EIO};
    std::optional<Exit> exit;
    auto process = host.processes().Spawn(spec, [&](const Exit& how) { exit = how; });
    const bool fault_met = faults.calls_until_failure < 0;
    faults = {};
    if (!process.ok()) {
      ++failures;
      EXPECT_TRUE(fault_met);
      EXPECT_THAT(process.status().message(), AllOf(HasSubstr("rank-0"), HasSubstr("EIO")));
    } else {
      ASSERT_TRUE(host.Wait([&] { return exit.has_value(); }));
      EXPECT_EQ(exit->ToString(), "exit code 0");
      process->reset();
    }
    EXPECT_EQ(count_fds(), before);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child is left after call " << k;
    if (!fault_met) break;
  }
  EXPECT_GE(failures, 8);
}

/// The same for several at once: whose call fails is chance, but not that each has an answer.
TEST(RealProcessesFaultTest, AnyFailingCallOfABatchLeavesNothingBehind) {
  FaultPlan faults;
  Host host({.mark = "faults", .faults = &faults});
  ASSERT_TRUE(host.works()) << host.status();
  const auto count_fds = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const auto before = count_fds();
  for (int k = 0;; ++k) {
    ASSERT_LT(k, 400);
    faults = {.calls_until_failure = k, .error = EIO};
    std::vector<SpawnResult> results =
        host.processes().SpawnAll(Requests(8, {.arguments = {"/bin/true"}}));
    const bool fault_met = faults.calls_until_failure < 0;
    faults = {};
    int failures = 0;
    for (SpawnResult& result : results) {
      if (result.ok()) {
        ASSERT_TRUE(host.Wait([&] { return (*result)->exit().has_value(); }));
        EXPECT_EQ((*result)->exit()->ToString(), "exit code 0");
        (*result).reset();
      } else {
        ++failures;
        EXPECT_THAT(result.status().message(), AllOf(HasSubstr("start rank-"), HasSubstr("EIO")));
      }
    }
    EXPECT_LE(failures, fault_met ? 1 : 0);
    EXPECT_EQ(count_fds(), before);
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child is left after call " << k;
    if (!fault_met) break;
  }
}

}  // namespace
}  // namespace lockstep::process
