// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Faults that come from a machine's kernel: a memory limit that a rank runs into, a cgroup that
// somebody freezes. Skipped where cgroups may not be made.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/process/cgroup.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"
#include "tests/faults/job_facts.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool Write(const std::string& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool written =
      fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) ::close(fd);
  return written;
}

/// A cgroup with a bound on memory, of either version, below this process's own.
class MemoryLimit {
 public:
  MemoryLimit() {
    constexpr const char* kLimit = "201326592";  // lockstep, three ranks, and room
    for (const char* const controller : {"memory", ""}) {
      const std::optional<std::string> own = process::OwnCgroupFolder(controller);
      if (!own.has_value()) continue;
      folder_ = *own + "/lockstep-memory-test-" + std::to_string(::getpid());
      if (::mkdir(folder_.c_str(), 0755) != 0) continue;
      made_ = true;
      Write(folder_ + "/memory.swappiness", "0");
      Write(folder_ + "/memory.swap.max", "0");
      if (Write(folder_ + "/memory.limit_in_bytes", kLimit) ||
          Write(folder_ + "/memory.max", kLimit))
        return;
      ::rmdir(folder_.c_str());
      made_ = false;
    }
    folder_.clear();
  }
  ~MemoryLimit() {
    if (made_) {
      EXPECT_TRUE(Eventually([this] { return ::rmdir(folder_.c_str()) == 0; }, 5s)) << folder_;
    }
  }
  bool holds() const { return made_; }
  /// For Command::Options.
  std::vector<std::string> Wrapper() const {
    return {"sh", "-c", "echo $$ >" + folder_ + "/cgroup.procs && exec \"$@\"", "sh"};
  }

 private:
  std::string folder_;
  bool made_ = false;
};

class KernelTest : public RunFixture {
 protected:
  static std::vector<std::string> Words(std::vector<std::string> words, const std::string& fault,
                                        const std::string& victim) {
    for (const std::string& word : {std::string("--"), Runfile("tests/faults/host_fault_rank"),
                                    std::string("--fault"), fault, std::string("--victim"), victim})
      words.push_back(word);
    return words;
  }
  /// Blames that rank and nobody else.
  void ExpectVerdict(const std::string& job, const std::string& verdict_class, int victim,
                     const std::string& why) const {
    const proto::Verdict verdict = VerdictIn(JobFolder(job));
    EXPECT_EQ(ClassOf(verdict), verdict_class);
    EXPECT_THAT(CulpritsOf(verdict), ElementsAre(victim)) << verdict.ShortDebugString();
    EXPECT_THAT(ReasonsOf(verdict), Each(HasSubstr(why)));
  }
};

TEST_F(KernelTest, ARankThatTheKernelKillsForItsMemoryIsOutOfMemory) {
  const MemoryLimit limit;
  if (!limit.holds()) GTEST_SKIP() << "no cgroup with a bound on memory may be made here";
  const std::vector<std::string> layouts[] = {
      {"-np", "3"}, {"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "1"}};
  for (std::vector<std::string> words : layouts) {
    const std::string victim = words.size() == 2 ? "2" : "1";
    SCOPED_TRACE(victim);
    const std::string name = "memory-" + victim;
    words.insert(words.end(), {"--name", name, "--grace", "100ms"});
    Command::Options options = Options();
    options.wrapper = limit.Wrapper();
    const Outcome run =
        Command(RunWords(Words(std::move(words), "eats", victim)), options).Wait(40s);

    EXPECT_EQ(run.status, 128 + SIGKILL) << run.err;
    SCOPED_TRACE(run.err);
    ExpectVerdict(name, "DEAD_RANK", std::stoi(victim), "out of memory: killed by signal 9");
  }
}

TEST_F(KernelTest, WhatARankStartedAndTheKernelKilledIsSaid) {
  const MemoryLimit limit;
  if (!limit.holds()) GTEST_SKIP() << "no cgroup with a bound on memory may be made here";
  Command::Options options = Options();
  options.wrapper = limit.Wrapper();
  const Outcome run = Command(RunWords(Words({"-np", "3", "--name", "child", "--grace", "100ms",
                                              "--hang-action-after", "2500ms"},
                                             "child-eats", "1")),
                              options)
                          .Wait(40s);

  EXPECT_EQ(run.status, 69) << run.err;
  SCOPED_TRACE(run.err);
  ExpectVerdict("child", "MISSING_RANK", 1, "its process sleeps, in no op");
  EXPECT_THAT(ReadFile(JobFolder("child") + "/verdict.json"),
              HasSubstr("the kernel has killed 1 process for want of memory"));
}

/// The leaf in which the agent has put the process, where it has: as a scheduler would freeze it.
std::optional<std::string> FreezeFile(pid_t pid) {
  const std::string own = ReadFile("/proc/" + std::to_string(pid) + "/cgroup");
  const std::string mounts = ReadFile("/proc/self/mountinfo");
  for (const auto& [controller, file] :
       {std::pair("", "/cgroup.freeze"), std::pair("freezer", "/freezer.state")}) {
    const auto folder = process::FindCgroupFolder(own, mounts, controller);
    if (folder.has_value() && Contains(*folder, "/lockstep-") &&
        ::access((*folder + file).c_str(), W_OK) == 0)
      return *folder + file;
  }
  return std::nullopt;
}

TEST_F(KernelTest, ARankThatIsFrozenWithItsCgroupIsNamedAtOnce) {
  const std::vector<std::string> layouts[] = {
      {"-np", "3"}, {"--simulate-hosts", "--nnodes", "2", "--nproc-per-node", "2"}};
  for (std::vector<std::string> words : layouts) {
    const std::string victim = words.size() == 2 ? "0" : "3";
    SCOPED_TRACE(victim);
    const std::string name = "frozen-" + victim;
    words.insert(words.end(), {"--name", name, "--grace", "100ms"});
    Command job(RunWords(Words(std::move(words), "sleeps", victim)), Options());
    int pid = 0;
    ASSERT_TRUE(job.WaitForOutput(
        [&](const std::string& out, const std::string&) {
          const size_t at = out.find("victim pid ");
          return at != std::string::npos && (pid = std::atoi(out.c_str() + at + 11)) > 0;
        },
        20s));
    const std::optional<std::string> file = FreezeFile(pid);
    if (!file.has_value()) GTEST_SKIP() << "ranks have no cgroups of their own here";
    ASSERT_TRUE(Write(*file, Contains(*file, "freezer.state") ? "FROZEN" : "1")) << *file;
    const auto since = std::chrono::steady_clock::now();
    const Outcome run = job.Wait(30s);

    EXPECT_EQ(run.status, 69) << run.err;
    EXPECT_LT(std::chrono::steady_clock::now() - since, 10s) << "long before --hang-action-after";
    SCOPED_TRACE(run.err);
    ExpectVerdict(name, "MISSING_RANK", std::stoi(victim), "its process is frozen with its cgroup");
    EXPECT_THAT(VerdictIn(JobFolder(name)).advice(), HasSubstr("thaw its cgroup"));
  }
}

}  // namespace
}  // namespace lockstep::e2e
