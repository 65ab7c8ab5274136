// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// What the front does for those around the job: the shell, its terminal, its other children.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/proto/job_state.pb.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

class GuardTest : public RunFixture {
 protected:
  /// 0 when there is none.
  static pid_t FirstChildOf(pid_t pid) {
    const std::vector<pid_t> children = ChildrenOf(pid);
    return children.empty() ? 0 : children[0];
  }
  /// Of a process that this thread traces, and whose parent learns of its end only after that.
  static bool HasEnded(pid_t traced) {
    int status = 0;
    return ::waitpid(traced, &status, __WALL | WNOHANG) == traced && WIFSIGNALED(status);
  }
};

TEST_F(GuardTest, AKilledAgentIsWrittenDownAsTheEndOfTheJob) {
  Command job(RunScript({"--name", "bereft", "-np", "2"}, "echo up; exec sleep 60"), Options());
  ASSERT_TRUE(job.WaitForOutput(
      [](const std::string& out, const std::string&) { return CountOf(out, "up") == 2; }, 10s));
  const std::vector<pid_t> agents = ChildrenOf(job.pid());
  ASSERT_EQ(agents.size(), 1u);

  ::kill(agents[0], SIGKILL);

  EXPECT_EQ(job.Wait(10s).status, 75);
  EXPECT_THAT(Verb({"ps", "--all"}).out, HasSubstr("ended (75)"));
  EXPECT_THAT(ReadFile(JobFolder("bereft") + "/verdict.json"),
              HasSubstr("\"class\": \"NODE_LOST\""));
  EXPECT_THAT(Verb({"ps"}).err, Not(HasSubstr("lost"))) << "nothing is left to be swept";
}

TEST_F(GuardTest, AStoppedAgentEndsItsJobOnCtrlCAllTheSame) {
  Command job(
      RunScript({"-np", "2", "--grace", "0"}, "[ $RANK = 1 ] || kill -STOP $PPID; exec sleep 60"),
      Options());
  pid_t agent = 0;
  ASSERT_TRUE(Eventually([&] { return (agent = FirstChildOf(job.pid())) > 0; }, 10s));
  ASSERT_TRUE(Eventually([&] { return ProcessState(agent) == 'T'; }, 10s));

  job.Signal(SIGINT);

  EXPECT_EQ(job.Wait(8s).status, 130);
}

TEST_F(GuardTest, AnAgentThatDoesNotAnswerIsKilledTwoSecondsAfterTheSecondCtrlC) {
  Command job(RunScript({"--name", "deaf", "-np", "2"}, "echo up; exec sleep 60"), Options());
  ASSERT_TRUE(job.WaitForOutput(
      [](const std::string& out, const std::string&) { return CountOf(out, "up") == 2; }, 10s));
  const pid_t agent = FirstChildOf(job.pid());
  // No CONT helps one that is traced.
  if (::ptrace(PTRACE_ATTACH, agent, nullptr, nullptr) != 0) {
    GTEST_SKIP() << "may not trace: " << std::strerror(errno);
  }
  ASSERT_EQ(::waitpid(agent, nullptr, __WALL), agent);

  job.Signal(SIGINT);
  EXPECT_FALSE(Eventually([&] { return HasEnded(agent); }, 1s))
      << "it has 10 s to answer the first";
  job.Signal(SIGINT);
  EXPECT_TRUE(Eventually([&] { return HasEnded(agent); }, 4s));
  const Outcome outcome = job.Wait(10s);

  EXPECT_EQ(outcome.status, 75);
  EXPECT_THAT(outcome.err, HasSubstr("did not answer the wish to end the job, and was killed; "
                                     "everything that it left was ended"));
  EXPECT_THAT(ReadFile(JobFolder("deaf") + "/verdict.json"), HasSubstr("did not answer"));
}

TEST_F(GuardTest, ChildrenOfTheProgramThatBecameUsLiveOn) {
  const std::string script =
      "sleep 61 >/dev/null 2>&1 & echo $! > theirs; exec " + LockstepPath() + " run -np 1 sleep 62";
  Command::Options options = Options();
  options.directory = scratch_.path();
  Command job({"bash", "-c", script}, options);
  ASSERT_TRUE(Eventually([&] { return ChildrenOf(job.pid()).size() == 2; }, 10s));
  const pid_t theirs = std::stoi(scratch_.Read("theirs"));
  for (const pid_t child : ChildrenOf(job.pid())) {
    if (child != theirs) ::kill(child, SIGKILL);
  }

  EXPECT_EQ(job.Wait(10s).status, 75);
  EXPECT_EQ(::kill(theirs, 0), 0) << "it was there before us";
  ::kill(theirs, SIGKILL);
  EXPECT_TRUE(
      Eventually([&] { return ProcessState(theirs) == '?' || ProcessState(theirs) == 'Z'; }, 5s));
}

TEST_F(GuardTest, ADetachedJobHoldsNothingOfItsCaller) {
  const std::string lock = scratch_.Write("lock", "");
  // `flock` of a script: held until the last process that inherited it is gone.
  const std::string script = "exec 9<lock; flock 9; " + LockstepPath() +
                             " run --detach --name quiet -np 1 sleep 60; exec 9<&-; "
                             "exec 8<lock; flock --nonblock 8 && echo free";
  Command::Options options = Options();
  options.directory = scratch_.path();

  const Outcome outcome = Command({"bash", "-c", script}, options).Wait(20s);

  EXPECT_THAT(outcome.out, HasSubstr("free")) << outcome.err;
  EXPECT_EQ(Verb({"stop", "quiet"}).err, "");
}

TEST_F(GuardTest, ADetachedJobThatCannotStartSaysSo) {
  for (const char* ranks : {"2", "40"}) {
    const Outcome outcome = Verb({"run", "--detach", "--name", "no", "-np", ranks, "./missing"});

    EXPECT_EQ(outcome.status, 127) << outcome.err;
    EXPECT_THAT(outcome.out, Not(HasSubstr("started")));
    EXPECT_THAT(outcome.err, HasSubstr("./missing"));
    EXPECT_THAT(Verb({"ps", "--all"}).out, HasSubstr("ended (127)"));
    EXPECT_EQ(Verb({"rm", "no"}).status, 0);
  }
}

TEST_F(GuardTest, ADetachedFrontKeepsNoPipeToItsCaller) {
  ASSERT_EQ(Verb({"run", "--detach", "--name", "quiet", "/bin/sleep", "60"}).status, 0);
  proto::JobState state;
  for (const auto& entry : std::filesystem::directory_iterator(JobFolder("quiet"))) {
    if (entry.path().extension() == ".pb") state.ParseFromString(ReadFile(entry.path()));
  }
  ASSERT_GT(state.front().pid(), 0);

  std::vector<std::string> pipes;
  const std::string folder = "/proc/" + std::to_string(state.front().pid()) + "/fd";
  // It says that the ranks run first, and closes the pipe then.
  EXPECT_TRUE(Eventually(
      [&] {
        pipes.clear();
        std::error_code gone;
        for (const auto& fd : std::filesystem::directory_iterator(folder)) {
          const std::string target = std::filesystem::read_symlink(fd.path(), gone);
          if (target.starts_with("pipe:")) pipes.push_back(fd.path());
        }
        return pipes.empty();
      },
      5s))
      << ::testing::PrintToString(pipes);
  EXPECT_EQ(Verb({"stop", "quiet"}).status, 0);
}

TEST_F(GuardTest, AContThatComesWhileTheRanksAreBeingStoppedIsNotLost) {
  Command job(RunScript({"-np", "2"}, "echo up; exec sleep 60"), Options());
  ASSERT_TRUE(job.WaitForOutput(
      [](const std::string& out, const std::string&) { return CountOf(out, "up") == 2; }, 10s));
  for (int i = 0; i < 100; ++i) {
    job.Signal(SIGTSTP);
    const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(7 * i);
    while (std::chrono::steady_clock::now() < until) continue;
    job.Signal(SIGCONT);
    ASSERT_TRUE(Eventually([&] { return ProcessState(job.pid()) != 'T'; }, 5s)) << "gap " << i;
  }
}

/// A session on a terminal of its own, as a shell has it: this process is the keyboard.
class Terminal {
 public:
  /// `body` is the session's leader.
  explicit Terminal(const std::function<void()>& body) {
    leader_ = ::forkpty(&keyboard_, nullptr, nullptr, nullptr);
    EXPECT_GE(leader_, 0) << "no terminal is to be had here";
    if (leader_ == 0) {
      body();
      ::_exit(0);
    }
  }
  ~Terminal() {
    if (leader_ < 0) return;
    ::close(keyboard_);
    ::kill(leader_, SIGKILL);
    ::waitpid(leader_, nullptr, 0);
  }
  void Type(const std::string& text) const {
    ASSERT_EQ(::write(keyboard_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  /// Reads the screen until `text` is on it.
  bool Shows(const std::string& text, std::chrono::milliseconds at_most) {
    const auto deadline = std::chrono::steady_clock::now() + at_most;
    while (screen_.find(text) == std::string::npos && std::chrono::steady_clock::now() < deadline) {
      pollfd wait{keyboard_, POLLIN, 0};
      char bytes[4096];
      if (::poll(&wait, 1, 100) != 1) continue;
      const ssize_t count = ::read(keyboard_, bytes, sizeof bytes);
      if (count <= 0) return false;
      screen_.append(bytes, static_cast<size_t>(count));
    }
    return screen_.find(text) != std::string::npos;
  }
  const std::string& screen() const { return screen_; }

 private:
  int keyboard_ = -1;
  pid_t leader_ = -1;
  std::string screen_;
};

TEST_F(GuardTest, TheTerminalsInputIsTheJobsOnlyInTheForeground) {
  const auto environment = scratch_.Environment();
  // bash's own job control: `&`, `fg`, Ctrl-Z, `fg`.
  const std::string script =
      "set -m; " + LockstepPath() +
      " run --name typist -np 1 sh -c 'echo up; read line; echo rank:$line; read line; echo "
      "again:$line' & read line; echo shell:$line; fg; read line; echo shell2:$line; fg; echo over";
  Terminal terminal([&] {
    ::clearenv();
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    ::setenv("NO_COLOR", "1", 1);
    ::execlp("bash", "bash", "-c", script.c_str(), nullptr);
  });
  ASSERT_TRUE(terminal.Shows("[0] up", 20s)) << terminal.screen();

  terminal.Type("one\n");
  EXPECT_TRUE(terminal.Shows("shell:one", 10s)) << terminal.screen();
  terminal.Type("two\n");
  EXPECT_TRUE(terminal.Shows("rank:two", 10s)) << terminal.screen();
  terminal.Type("\x1a");
  EXPECT_TRUE(terminal.Shows("Stopped", 10s)) << terminal.screen();
  terminal.Type("three\n");
  EXPECT_TRUE(terminal.Shows("shell2:three", 10s)) << terminal.screen();
  terminal.Type("four\n");
  EXPECT_TRUE(terminal.Shows("again:four", 10s)) << terminal.screen();
  EXPECT_TRUE(terminal.Shows("over", 10s)) << terminal.screen();
}

}  // namespace
}  // namespace lockstep::e2e
