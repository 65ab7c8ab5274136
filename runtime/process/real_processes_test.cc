// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/real_processes.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/process/cgroup.h"
#include "runtime/process/descendants.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"

namespace lockstep::process {
namespace {

using base::Code;
using base::testing::IsOk;
using base::testing::StatusIs;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr base::Duration kLongTime = seconds(30);
constexpr uid_t kNobody = 65534;
constexpr char kTroublemaker[] = "runtime/process/testing/troublemaker";

/// A folder for programs, of everybody, removed at the end.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/lockstep_process.XXXXXX";
    LOCKSTEP_CHECK(::mkdtemp(name) != nullptr, "mkdtemp");
    path_ = name;
    ::chmod(name, 0755);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& text, mode_t mode) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

 private:
  std::string path_;
};

/// A pipe whose reading end collects what a child prints.
class Collected {
 public:
  explicit Collected(event::Loop& loop) {
    int ends[2];
    LOCKSTEP_CHECK(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "pipe2");
    read_.reset(ends[0]);
    write_.reset(ends[1]);
    watch_ =
        loop.Watch(read_.get(), {.readable = true}, [this](event::Readiness) { OnReadable(); });
  }
  int child_end() const { return write_.get(); }
  /// After the spawn: so that the end of the last writer shows.
  void CloseChildEnd() { write_.reset(); }
  const std::string& text() const { return text_; }
  bool at_end() const { return !watch_.active(); }
  bool Has(const std::string& line) const {
    return ("\n" + text_).find("\n" + line + "\n") != std::string::npos;
  }
  /// Those printed as "pid N".
  std::vector<pid_t> Pids() const {
    std::vector<pid_t> pids;
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("pid ")) pids.push_back(std::atoi(line.c_str() + 4));
    }
    return pids;
  }

 private:
  void OnReadable() {
    char bytes[4096];
    const ssize_t size = ::read(read_.get(), bytes, sizeof(bytes));
    if (size > 0) {
      text_.append(bytes, static_cast<size_t>(size));
    } else if (size == 0) {
      watch_.reset();
    }
  }

  base::UniqueFd read_;
  base::UniqueFd write_;
  std::string text_;
  event::Registration watch_;
};

bool IsAlive(pid_t pid) {
  const std::optional<ProcStat> stat = ReadProcStat(pid);
  return stat && !stat->dead();
}

/// One runner with its loop, in this process or in a forked one.
class Host {
 public:
  explicit Host(RealProcesses::Config config)
      : loop_(event::EpollLoop::Create(clock_).value()),
        processes_(RealProcesses::Create(std::move(config), *loop_)) {}

  bool works() const { return processes_.ok(); }
  base::Status status() const { return processes_.status(); }
  event::Loop& loop() { return *loop_; }
  RealProcesses& processes() { return **processes_; }
  bool Wait(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kLongTime);
  }

  std::unique_ptr<Process> Spawn(const std::string& program,
                                 const std::vector<std::string>& actions, Collected& output,
                                 const std::string& name = "rank-0") {
    SpawnSpec spec{.name = name, .arguments = {program}, .fds = {{output.child_end(), 1}}};
    spec.arguments.insert(spec.arguments.end(), actions.begin(), actions.end());
    auto process = processes().Spawn(spec, [](const Exit&) {});
    output.CloseChildEnd();
    if (!process.ok()) {
      ADD_FAILURE() << process.status();
      return nullptr;
    }
    return std::move(process).value();
  }
  base::Status KillAll(Process& process, base::Duration limit = kLongTime) {
    std::optional<base::Status> gone;
    process.KillAll(limit, [&](const base::Status& status) { gone = status; });
    if (!Wait([&] { return gone.has_value(); }))
      return base::DeadlineExceededError("the test waited in vain");
    return *gone;
  }

 private:
  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  base::Result<std::unique_ptr<RealProcesses>> processes_;
};

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

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  EXPECT_TRUE(file.good()) << path;
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

/// As many as the spec is for, named rank-0, rank-1, ..., whose ends nobody wants to know.
std::vector<SpawnRequest> Requests(int count, SpawnSpec spec) {
  std::vector<SpawnRequest> requests;
  for (int i = 0; i < count; ++i) {
    spec.name = "rank-" + std::to_string(i);
    requests.push_back({spec, [](const Exit&) {}});
  }
  return requests;
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

TEST(RealProcessesOomTest, KillForWantOfMemoryIsToldFromAPlainKill) {
  const auto memory = OwnCgroupFolder("memory");
  if (!memory || ::access(memory->c_str(), W_OK) != 0)
    GTEST_SKIP() << "no memory cgroup (v1) that may be written";
  const std::string folder = *memory + "/lockstep-oom-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  WriteFile(folder + "/memory.limit_in_bytes", "67108864");
  int report[2];
  ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    WriteFile(folder + "/cgroup.procs", "0");
    Host host({.mark = "oom"});
    std::string ends;
    for (const auto& actions :
         std::vector<std::vector<std::string>>{{"raise", "9"}, {"eat", "200"}, {"raise", "9"}}) {
      std::optional<Exit> exit;
      SpawnSpec spec{.name = "rank-0", .arguments = {kTroublemaker, actions[0], actions[1]}};
      const auto process = host.processes().Spawn(spec, [&](const Exit& how) { exit = how; });
      host.Wait([&] { return exit.has_value(); });
      ends += exit->ToString() + "\n";
    }
    if (::write(report[1], ends.data(), ends.size()) < 0) ::_exit(1);
    ::_exit(0);
  }
  ::close(report[1]);
  char text[512];
  const ssize_t size = ::read(report[0], text, sizeof(text));
  ::close(report[0]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::rmdir(folder.c_str());

  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(text, static_cast<size_t>(size)),
            "signal 9 (SIGKILL)\nsignal 9 (SIGKILL), out of memory\nsignal 9 (SIGKILL)\n");
}

TEST(RealProcessesKillTest, ProcessThatCannotDieIsNamedWhenTheDeadlinePasses) {
  // What a version 1 freezer holds survives SIGKILL until it is thawed, like a process in
  // uninterruptible sleep.
  const auto freezer = OwnCgroupFolder("freezer");
  if (!freezer || ::access(freezer->c_str(), W_OK) != 0)
    GTEST_SKIP() << "no freezer cgroup that may be written";
  const std::string folder = *freezer + "/lockstep-stuck-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  {
    Host host({.mark = "stuck", .containment = Containment::kSubreaperMark});
    Collected output(host.loop());
    const auto process = host.Spawn(kTroublemaker, {"print", "ready", "sleep"}, output);
    ASSERT_TRUE(host.Wait([&] { return output.Has("ready"); }));
    WriteFile(folder + "/cgroup.procs", std::to_string(process->pid()));
    WriteFile(folder + "/freezer.state", "FROZEN");

    const base::Status status = host.KillAll(*process, milliseconds(100));

    EXPECT_THAT(status,
                StatusIs(Code::kDeadlineExceeded,
                         AllOf(HasSubstr("troublemaker (pid " + std::to_string(process->pid())),
                               HasSubstr("100ms"))));
    WriteFile(folder + "/freezer.state", "THAWED");
    EXPECT_THAT(host.KillAll(*process), IsOk());
  }
  EXPECT_EQ(::rmdir(folder.c_str()), 0);
}

TEST(RealProcessesKillTest, OrphanInTheMidstOfExecIsNotTakenForAStranger) {
  Host host({.mark = "execers", .containment = Containment::kSubreaperMark});
  Collected quiet(host.loop());
  // As long as it lives, processes that nobody owns are spared.
  const auto neighbour = host.Spawn(kTroublemaker, {"sleep"}, quiet, "rank-1");
  for (int run = 0; run < 150; ++run) {
    Collected output(host.loop());
    const auto process = host.Spawn(kTroublemaker, {"execer", "print", "ready", "sleep"}, output);
    ASSERT_TRUE(host.Wait([&] { return output.Has("ready"); }));

    ASSERT_OK(host.KillAll(*process));

    ASSERT_TRUE(host.Wait([&] { return output.at_end(); })) << "the daemon lives, run " << run;
  }
  EXPECT_OK(host.KillAll(*neighbour));
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

/// Runs in a process of its own, which may change its user and its limits. Returns what `body`
/// does.
std::string InAChild(const std::function<std::string()>& body) {
  int report[2];
  LOCKSTEP_CHECK(::pipe2(report, O_CLOEXEC) == 0, "pipe2");
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = body();
    if (::write(report[1], text.data(), text.size()) < 0) ::_exit(3);
    ::_exit(0);
  }
  ::close(report[1]);
  std::string text;
  char bytes[512];
  for (ssize_t size = 0; (size = ::read(report[0], bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<size_t>(size));
  }
  ::close(report[0]);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return text;
}

/// What a spawn says under a limit; root becomes somebody whom it holds for.
std::string SpawnUnderLimit(int resource, rlimit limit, SpawnSpec spec = {}) {
  return InAChild([&]() -> std::string {
    if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) return "setresuid";
    Host host({.mark = "limit"});
    if (!host.works()) return host.status().ToString();
    rlimit before{};
    ::getrlimit(resource, &before);
    if (limit.rlim_max == RLIM_INFINITY) limit.rlim_max = before.rlim_max;
    if (::setrlimit(resource, &limit) != 0) return "setrlimit";
    spec.name = "rank-3";
    spec.arguments = {"/bin/true"};
    const auto refused = host.processes().Spawn(spec, [](const Exit&) {});
    if (refused.ok()) return "nobody minds";
    if (limit.rlim_max == before.rlim_max) {
      // Nothing is broken once there is room again.
      ::setrlimit(resource, &before);
      std::optional<Exit> exit;
      const auto again = host.processes().Spawn(spec, [&](const Exit& how) { exit = how; });
      if (!again.ok() || !host.Wait([&] { return exit.has_value(); })) return "broken";
    }
    return std::string(refused.status().message());
  });
}

TEST(RealProcessesLimitTest, DescriptorLimitIsNamedWithItsCure) {
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NOFILE, {3, RLIM_INFINITY}),
              AllOf(HasSubstr("start rank-3: "), HasSubstr("(EMFILE)"),
                    HasSubstr("3 descriptors (RLIMIT_NOFILE)"), HasSubstr("ulimit -n ")));
  // In the child, which the kernel tells of a bad descriptor and of an invalid one.
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NOFILE, {100, RLIM_INFINITY}, {.fds = {{0, 200}}}),
              AllOf(HasSubstr("start rank-3: give it descriptor 200: "), HasSubstr("(EMFILE)"),
                    HasSubstr("ulimit -n ")));
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NOFILE, {100, 100}, {.fds = {{0, 1}, {1, 200}}}),
              AllOf(HasSubstr("start rank-3: give it descriptor "), HasSubstr("(EMFILE)"),
                    HasSubstr("ulimit -n NUMBER, as root")));
}

TEST(RealProcessesLimitTest, UsersProcessLimitIsNamedWithItsCure) {
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NPROC, {1, 4'000}),
              AllOf(HasSubstr("start rank-3: "), HasSubstr("(EAGAIN)"),
                    HasSubstr("may have 1 processes and threads (RLIMIT_NPROC)"),
                    HasSubstr("ulimit -u 4000")));
  EXPECT_THAT(SpawnUnderLimit(RLIMIT_NPROC, {1, 1}), HasSubstr("ulimit -u NUMBER, as root"));
}

TEST(RealProcessesLimitTest, CgroupsProcessLimitIsNamedWithItsCure) {
  const auto pids = OwnCgroupFolder("pids");
  if (!pids || ::access(pids->c_str(), W_OK) != 0)
    GTEST_SKIP() << "no pids cgroup (v1) that may be written";
  const std::string folder = *pids + "/lockstep-pids-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(folder.c_str(), 0755), 0);
  WriteFile(folder + "/pids.max", "1");
  const std::string message = InAChild([&]() -> std::string {
    WriteFile(folder + "/cgroup.procs", "0");
    Host host({.mark = "pids", .containment = Containment::kSubreaperMark});
    const auto refused =
        host.processes().Spawn({.name = "rank-3", .arguments = {"/bin/true"}}, [](const Exit&) {});
    return std::string(refused.status().message());
  });
  EXPECT_EQ(::rmdir(folder.c_str()), 0);

  EXPECT_THAT(message, AllOf(HasSubstr("start rank-3: "), HasSubstr("(EAGAIN)"),
                             HasSubstr("may have 1 processes and threads (pids.max)"),
                             HasSubstr("echo NUMBER > " + folder + "/pids.max")));
}

struct Tree {
  std::string name;
  Containment containment;
  bool use_pidfd = true;
  bool unprivileged = false;
  bool delegated = false;  // in a cgroup that the unprivileged user may write

  friend void PrintTo(const Tree& tree, std::ostream* out) { *out << tree.name; }
};

/// Runs in a process of its own: a test may change its user, and nothing it leaves behind can hide
/// among our children.
class TreeTest : public ::testing::TestWithParam<Tree> {
 protected:
  /// `body` returns what is wrong, or nothing.
  void RunAlone(const std::function<std::string(Host&, const std::string& program)>& body) {
    if (GetParam().unprivileged && ::geteuid() != 0)
      GTEST_SKIP() << "only root can become another user";
    std::string cgroup;
    if (GetParam().delegated) {
      const auto own = OwnCgroupFolder("");
      if (!own || ::access(own->c_str(), W_OK) != 0)
        GTEST_SKIP() << "no cgroup v2 that may be written";
      cgroup = *own + "/lockstep-delegated-test-" + std::to_string(::getpid());
      ASSERT_EQ(::mkdir(cgroup.c_str(), 0755), 0);
      for (const char* file : {"", "/cgroup.procs"})
        ASSERT_EQ(::chown((cgroup + file).c_str(), kNobody, kNobody), 0);
    }
    Folder folder;  // where another user may look
    const std::string program = folder.path() + "/troublemaker";
    std::filesystem::copy_file(kTroublemaker, program);
    int report[2];
    ASSERT_EQ(::pipe2(report, O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (GetParam().delegated) WriteFile(cgroup + "/cgroup.procs", "0");
      if (GetParam().unprivileged && ::setresuid(kNobody, kNobody, kNobody) != 0) ::_exit(2);
      std::string problem;
      {
        Host host({.mark = Mark(),
                   .containment = GetParam().containment,
                   .use_pidfd = GetParam().use_pidfd});
        problem = host.works() ? body(host, program) : "SKIP " + host.status().ToString();
      }
      if (problem.empty() && ::waitpid(-1, nullptr, WNOHANG | __WALL) != -1)
        problem = "a child is left at the end";
      if (::write(report[1], problem.data(), problem.size()) < 0) ::_exit(3);
      ::_exit(0);
    }
    ::close(report[1]);
    std::string problem;
    char bytes[512];
    for (ssize_t size = 0; (size = ::read(report[0], bytes, sizeof(bytes))) > 0;) {
      problem.append(bytes, static_cast<size_t>(size));
    }
    ::close(report[0]);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (GetParam().delegated) {
      EXPECT_EQ(::rmdir(cgroup.c_str()), 0) << "a cgroup is left in it";
    }
    if (problem.starts_with("SKIP ")) GTEST_SKIP() << problem.substr(5);
    EXPECT_EQ(problem, "");
    EXPECT_EQ(status, 0);
  }
  static std::string Mark() { return "tree." + std::to_string(::getpid()); }
};

/// Starts the rank, kills all of it, and looks for what is left.
std::string KillsAll(Host& host, const std::string& program,
                     const std::vector<std::string>& actions, size_t pids, bool leader_ends_first) {
  Collected output(host.loop());
  std::vector<std::string> all = actions;
  all.insert(all.end(), {"print", "ready", leader_ends_first ? "print" : "sleep"});
  if (leader_ends_first) all.push_back("bye");
  const auto process = host.Spawn(program, all, output);
  if (process == nullptr) return "not spawned";
  if (!host.Wait([&] { return output.Has("ready") && output.Pids().size() == pids; }))
    return "not ready: " + output.text();
  if (leader_ends_first && !host.Wait([&] { return process->exit().has_value(); }))
    return "leader does not end";
  for (const pid_t pid : output.Pids()) {
    if (!IsAlive(pid)) return "pid " + std::to_string(pid) + " died by itself";
  }
  if (const base::Status status = host.KillAll(*process); !status.ok()) return status.ToString();
  for (const pid_t pid : output.Pids()) {
    if (IsAlive(pid)) return "alive: " + ReadProcStat(pid)->ToString();
  }
  // Whoever else held the pipe is gone too.
  if (!host.Wait([&] { return output.at_end(); })) return "somebody holds the pipe";
  return "";
}

TEST_P(TreeTest, KillAllLeavesNothingOfARankThatMadeEveryKindOfProcess) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(
        host, program,
        {"ignore", "15", "child", "setsid-child", "double-fork", "stopped-child", "headless"}, 5,
        false);
  });
}

TEST_P(TreeTest, KillAllLeavesNothingWhenTheLeaderEndedBefore) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(host, program, {"child", "setsid-child", "double-fork", "stopped-child"}, 4,
                    true);
  });
}

TEST_P(TreeTest, KillAllEndsAStoppedLeaderAndADaemonWithoutAMark) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(host, program, {"hidden", "double-fork"}, 2, true);
  });
}

TEST_P(TreeTest, KillAllCatchesADaemonThatKeepsForkingAndLeaving) {
  RunAlone([](Host& host, const std::string& program) {
    return KillsAll(host, program, {"hopper"}, 0, false);
  });
}

TEST_P(TreeTest, KillAllOfOneRankSparesItsNeighbour) {
  RunAlone([](Host& host, const std::string& program) -> std::string {
    Collected mine(host.loop());
    Collected other(host.loop());
    const auto rank = host.Spawn(
        program, {"setsid-child", "double-fork", "print", "ready", "sleep"}, mine, "rank-0");
    const auto neighbour = host.Spawn(
        program, {"setsid-child", "double-fork", "print", "ready", "sleep"}, other, "rank-1");
    if (!host.Wait([&] { return mine.Has("ready") && other.Has("ready"); })) return "not ready";
    if (const base::Status status = host.KillAll(*rank); !status.ok()) return status.ToString();
    for (const pid_t pid : mine.Pids()) {
      if (IsAlive(pid)) return "alive: " + ReadProcStat(pid)->ToString();
    }
    for (const pid_t pid : other.Pids()) {
      if (!IsAlive(pid)) return "the neighbour lost " + std::to_string(pid);
    }
    if (neighbour->exit()) return "the neighbour ended";
    return host.KillAll(*neighbour).ok() ? "" : "the neighbour does not die";
  });
}

TEST_P(TreeTest, DestroyingTheProcessKillsItsTreeWithoutWaiting) {
  RunAlone([](Host& host, const std::string& program) -> std::string {
    Collected output(host.loop());
    auto rank = host.Spawn(program, {"child", "double-fork", "print", "ready", "sleep"}, output);
    if (!host.Wait([&] { return output.Has("ready"); })) return "not ready";
    rank.reset();
    return host.Wait([&] { return output.at_end(); }) ? "" : "somebody lives on";
  });
}

TEST_P(TreeTest, SignalAllReachesEveryProcessOfTheTree) {
  RunAlone([](Host& host, const std::string& program) -> std::string {
    Collected output(host.loop());
    const auto rank = host.Spawn(
        program, {"child", "setsid-child", "double-fork", "print", "ready", "sleep"}, output);
    if (!host.Wait([&] { return output.Has("ready"); })) return "not ready";
    std::vector<pid_t> pids = output.Pids();
    pids.push_back(rank->pid());
    const auto all_in = [&](const std::string& states) {
      for (const pid_t pid : pids) {
        const auto stat = ReadProcStat(pid);
        if (!stat || states.find(stat->state) == states.npos) return false;
      }
      return true;
    };
    if (!rank->SignalAll(SIGSTOP).ok() || !host.Wait([&] { return all_in("T"); }))
      return "not all stopped";
    if (!rank->SignalAll(SIGCONT).ok() || !host.Wait([&] { return all_in("SR"); }))
      return "not all continued";
    return host.KillAll(*rank).ok() ? "" : "does not die";
  });
}

INSTANTIATE_TEST_SUITE_P(
    , TreeTest,
    ::testing::Values(Tree{"CgroupV2", Containment::kCgroupV2},
                      Tree{"CgroupV1", Containment::kCgroupV1},
                      Tree{"Mark", Containment::kSubreaperMark},
                      Tree{"MarkWithoutPidfd", Containment::kSubreaperMark, false},
                      Tree{"DelegatedCgroupAsNobody", Containment::kCgroupV2, true, true, true},
                      Tree{"BestAsNobody", Containment::kBest, true, true},
                      Tree{"MarkAsNobody", Containment::kSubreaperMark, true, true}),
    [](const auto& tree) { return tree.param.name; });

/// An agent in a process of its own, which the test kills.
class DeadAgentTest : public ::testing::Test {
 protected:
  /// Begins the marks of this run of the tests alone.
  static std::string Mark() { return "dead." + std::to_string(::getpid()) + "."; }
  /// Forks an agent that spawns one rank and waits; returns its pid when the rank has printed
  /// "ready".
  pid_t StartAgent(const std::vector<std::string>& actions, const std::string& mark) {
    LOCKSTEP_CHECK(::pipe2(pipe_, O_CLOEXEC) == 0, "pipe2");
    const pid_t agent = ::fork();
    if (agent == 0) {
      ::close(pipe_[0]);
      Host host({.mark = mark, .containment = Containment::kSubreaperMark});
      SpawnSpec spec{.name = "rank-0", .arguments = {kTroublemaker}, .fds = {{pipe_[1], 1}}};
      spec.arguments.insert(spec.arguments.end(), actions.begin(), actions.end());
      const auto rank = host.processes().Spawn(spec, [](const Exit&) {});
      ::close(pipe_[1]);
      host.loop().Run();  // for ever
      ::_exit(0);
    }
    ::close(pipe_[1]);
    while (text_.find("ready\n") == std::string::npos && ReadMore()) {
    }
    return agent;
  }
  std::vector<pid_t> Pids() const {
    std::vector<pid_t> pids;
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("pid ")) pids.push_back(std::atoi(line.c_str() + 4));
    }
    return pids;
  }
  /// False at the end of the pipe, and when nothing comes for a long time.
  bool ReadMore() {
    pollfd readable{.fd = pipe_[0], .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, 20'000) != 1) {
      ADD_FAILURE() << "somebody holds the ranks' output";
      return false;
    }
    char bytes[512];
    const ssize_t size = ::read(pipe_[0], bytes, sizeof(bytes));
    if (size > 0) text_.append(bytes, static_cast<size_t>(size));
    return size > 0;
  }
  /// Returns when nobody holds the ranks' output any more.
  void WaitForEnd() {
    while (ReadMore()) {
    }
  }
  void TearDown() override {
    ::close(pipe_[0]);
    (void)KillMarked(Mark(), kLongTime);  // should a test have failed
  }

  int pipe_[2] = {-1, -1};
  std::string text_;
};

TEST_F(DeadAgentTest, LeadersDieWithAnAgentThatIsKilled) {
  const base::RealClock clock;
  const pid_t agent = StartAgent({"ignore", "15", "print", "ready", "sleep"}, Mark() + "leader");

  const base::SteadyTime killed = clock.Now();
  ASSERT_EQ(::kill(agent, SIGKILL), 0);
  WaitForEnd();  // the leader alone held the pipe

  EXPECT_LT(clock.Now() - killed, seconds(2));
  EXPECT_EQ(::waitpid(agent, nullptr, 0), agent);
}

TEST_F(DeadAgentTest, SubreaperAboveItEndsAllThatIsLeft) {
  ASSERT_OK(BecomeSubreaper());
  const pid_t agent = StartAgent({"child", "setsid-child", "double-fork", "hidden", "stopped-child",
                                  "print", "ready", "sleep"},
                                 Mark() + "front");
  ASSERT_EQ(::kill(agent, SIGKILL), 0);

  EXPECT_OK(KillDescendants(kLongTime));

  for (const pid_t pid : Pids()) EXPECT_FALSE(IsAlive(pid)) << pid;
  WaitForEnd();
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

TEST_F(DeadAgentTest, NextCommandFindsTheRestByItsMark) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
  const std::string mark = Mark() + "both";
  const pid_t agent =
      StartAgent({"setsid-child", "double-fork", "stopped-child", "print", "ready", "sleep"}, mark);
  ASSERT_EQ(::kill(agent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(agent, nullptr, 0), agent);
  ASSERT_EQ(Pids().size(), 3u);

  // The stopped child may have been ended by the kernel: orphaned groups with a stopped member are
  // hung up.
  EXPECT_THAT(KillMarked(mark + "/", kLongTime),
              base::testing::IsOkAndHolds(::testing::AllOf(::testing::Ge(2), ::testing::Le(4))));
  EXPECT_THAT(KillMarked(mark + "/", kLongTime), base::testing::IsOkAndHolds(0));

  for (const pid_t pid : Pids()) EXPECT_FALSE(IsAlive(pid)) << pid;
  WaitForEnd();
}

}  // namespace
}  // namespace lockstep::process
