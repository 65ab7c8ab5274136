// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// With a script in the place of ssh, which does to each host what its name says.
#include "launcher/placement/ssh_agents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/process/real_processes.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// The command is the last word, the destination the one before. $DIR/NAME.N is made for the Nth
// try.
constexpr char kSsh[] = R"(#!/bin/sh
for word; do host=$command; command=$word; done
host=${host#*@}
n=1; while ! mkdir $DIR/tried-$host.$n 2>/dev/null; do n=$((n + 1)); done
case $host in
  denied*) echo "$host: Permission denied (publickey)." >&2; exit 255 ;;
  refused*) echo "ssh: connect to host $host port 22: Connection refused" >&2; exit 255 ;;
  later*) [ $n = 1 ] && { echo "Connection reset by 10.0.0.1 port 22" >&2; exit 255; } ;;
  silent*) exec sleep 100 ;;
  slow*) [ $n = 1 ] && exec sleep 100 ;;
  chatty*) echo "Welcome to $host!"; echo "lockstep is great"; echo "Unauthorised use ..." >&2 ;;
  arm*) PATH=$DIR/arm:$PATH ;;
  busybox*) PATH=$DIR/busybox:$PATH ;;
  nologin*) echo "This account is currently not available."; exit 1 ;;
  queued*) read go < $DIR/go ;;
  stuck*) PATH=$DIR/$host:$PATH ;;
  hostile*) . $DIR/hostile; exit ;;
esac
HOME=$DIR/home-$host; export HOME; /bin/mkdir -p $HOME; cd $HOME
exec sh -c "$command"
)";

// Writes down what it gets. Its end is what the test wants.
constexpr char kAgent[] = R"(#!/bin/sh
case $HOME in
  *unable*) echo "lockstep: agent on $HOME: the program is not there" >&2; exit 127 ;;
esac
cat > bootstrap
printf "lockstep: hello from\033 the agent\n" >&2
exit ${AGENT_EXIT:-0}
)";

class SshAgentsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "sshXXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    Write("ssh", kSsh);
    Write("agent", kAgent);
    ::signal(SIGPIPE, SIG_IGN);
    auto loop = event::EpollLoop::Create(clock_);
    ASSERT_THAT(loop, IsOk());
    loop_ = *std::move(loop);
    auto processes = process::RealProcesses::Create({.mark = "test"}, *loop_);
    ASSERT_THAT(processes, IsOk());
    processes_ = *std::move(processes);
  }
  void TearDown() override {
    agents_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    ::chmod(path.c_str(), 0755);
  }
  std::string Read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(folder_ + "/" + name).rdbuf();
    return text.str();
  }
  int Tries(const std::string& host) const {
    int tries = 0;
    while (std::filesystem::exists(folder_ + "/tried-" + host + "." + std::to_string(tries + 1)))
      ++tries;
    return tries;
  }

  /// Begins; the node of the n-th host is n.
  void Start(const std::vector<std::string>& hosts, const std::string& program_path = "") {
    SshAgents::Config config{.ssh = {},
                             .hosts = {},
                             .environment = {{"PATH", folder_ + ":/usr/bin:/bin"},
                                             {"DIR", folder_},
                                             {"AGENT_EXIT", agent_exit_}},
                             .agent_path = folder_ + "/agent",
                             .program_path = program_path,
                             .timing = timing_,
                             .say = [this](const std::string& text) { said_.push_back(text); }};
    std::vector<AgentToStart> agents;
    for (const std::string& host : hosts) {
      const base::NodeIndex node(static_cast<int>(agents.size()));
      config.hosts[node].set_host(host);
      AgentToStart agent{.node = node, .bootstrap = {}};
      agent.bootstrap.set_job_id("job");
      agent.bootstrap.set_node(node.value());
      agents.push_back(std::move(agent));
    }
    agents_ = std::make_unique<SshAgents>(std::move(config), SshAgents::Deps{*loop_, *processes_});
    agents_->Start(std::move(agents),
                   [this](base::NodeIndex, const base::Status& why) { failures_.push_back(why); });
  }
  bool Wait(const std::function<bool()>& holds) {
    const base::SteadyTime deadline = clock_.Now() + 20s;
    event::Registration tick;
    const std::function<void()> look = [&] {
      if (holds() || clock_.Now() >= deadline) return loop_->Quit();
      tick = loop_->After(2ms, look);
    };
    tick = loop_->After(0ms, look);
    loop_->Run();
    return holds();
  }
  bool HasBootstrap(const std::string& host) const {
    return Read("home-" + host + "/bootstrap").find("job") != std::string::npos;
  }
  bool WaitForBootstrap(const std::string& host) {
    return Wait([&] { return HasBootstrap(host); });
  }
  base::Status WaitForFailure() {
    return Wait([&] { return !failures_.empty(); }) ? failures_.front() : base::OkStatus();
  }
  bool Finish() {
    bool done = false;
    agents_->Finish([&] { done = true; });
    return Wait([&] { return done; });
  }

  base::RealClock clock_;
  std::string folder_;
  std::string agent_exit_ = "0";
  SshAgents::Timing timing_{.answer = 10s, .next_try = 5s, .backoff = 1ms};
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<process::RealProcesses> processes_;
  std::unique_ptr<SshAgents> agents_;
  std::vector<std::string> said_;
  std::vector<base::Status> failures_;
};

TEST_F(SshAgentsTest, EachHostGetsTheAgentAndItsBootstrap) {
  Start({"a", "b"});

  EXPECT_TRUE(WaitForBootstrap("a"));
  EXPECT_TRUE(WaitForBootstrap("b"));
  EXPECT_NE(Read("home-a/bootstrap"), Read("home-b/bootstrap"));
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(SshAgentsTest, ABigAgentIsCopiedWhole) {
  Write("agent", std::string(kAgent) + "# " + std::string(5'000'000, 'x') + "\n");

  Start({"a"});

  EXPECT_TRUE(WaitForBootstrap("a"));
}

TEST_F(SshAgentsTest, ToolsThatReadAheadLoseNothing) {
  std::filesystem::create_directory(folder_ + "/busybox");
  for (const char* tool : {"sh", "head", "sha256sum", "wc", "mkdir", "mv", "chmod", "uname"}) {
    std::filesystem::create_symlink("/bin/busybox", folder_ + "/busybox/" + tool);
  }
  Write("program", std::string(10'000, 'p'));

  Start({"busybox"}, folder_ + "/program");

  EXPECT_TRUE(WaitForBootstrap("busybox"));
  EXPECT_THAT(Read("home-busybox/bootstrap"), HasSubstr("/programs/"));
}

TEST_F(SshAgentsTest, AProgramIsStagedAndTheAgentToldWhere) {
  Write("program", "#!/bin/sh\n");

  Start({"a"}, folder_ + "/program");

  ASSERT_TRUE(WaitForBootstrap("a"));
  const std::string bootstrap = Read("home-a/bootstrap");
  const size_t at = bootstrap.find(folder_ + "/home-a/.cache/lockstep/programs/");
  ASSERT_NE(at, std::string::npos);
}

TEST_F(SshAgentsTest, WhatLogInScriptsPrintIsPassedOver) {
  Start({"chatty"});

  EXPECT_TRUE(WaitForBootstrap("chatty"));
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(SshAgentsTest, ADeniedLogInIsFinalAtOnce) {
  Start({"denied"});

  EXPECT_THAT(WaitForFailure(),
              StatusIs(base::Code::kUnavailable,
                       AllOf(HasSubstr("host denied cannot be reached: the log-in was denied"),
                             HasSubstr("--ssh-identity"))));
  EXPECT_EQ(Tries("denied"), 1);
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(SshAgentsTest, ARefusedConnectionIsTriedThreeTimes) {
  Start({"refused"});

  EXPECT_THAT(WaitForFailure(), StatusIs(base::Code::kUnavailable, HasSubstr("--ssh-port")));
  EXPECT_EQ(Tries("refused"), 3);
}

TEST_F(SshAgentsTest, TriesThatAreTurnedAwayKeepTheirDistance) {
  timing_.backoff = 200ms;
  Start({"refused"});

  EXPECT_FALSE(WaitForFailure().ok());
  const auto tried_at = [&](int n) {
    return std::filesystem::last_write_time(folder_ + "/tried-refused." + std::to_string(n));
  };
  EXPECT_GE(tried_at(2) - tried_at(1), 190ms);  // a file's time may be a tick of the kernel old
  EXPECT_GE(tried_at(3) - tried_at(2), 590ms);
}

TEST_F(SshAgentsTest, WhatPassesIsNoFailure) {
  Start({"later"});

  EXPECT_TRUE(WaitForBootstrap("later"));
  EXPECT_EQ(Tries("later"), 2);
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(SshAgentsTest, AHostThatDoesNotAnswerIsTriedBesideTheFirstTry) {
  timing_.next_try = 1s;  // time for the second to answer
  Start({"slow"});

  EXPECT_TRUE(WaitForBootstrap("slow"));
  EXPECT_EQ(Tries("slow"), 2);
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(SshAgentsTest, ASilentHostIsNamedWhenItsTimeIsOver) {
  timing_ = {.answer = 300ms, .next_try = 50ms, .backoff = 1ms};
  Start({"silent"});

  EXPECT_THAT(WaitForFailure(),
              StatusIs(base::Code::kUnavailable,
                       HasSubstr("host silent cannot be reached: it does not answer within 300")));
  EXPECT_EQ(Tries("silent"), 3);
}

TEST_F(SshAgentsTest, EveryHostThatCannotBeReachedHasItsLine) {
  timing_ = {.answer = 300ms, .next_try = 50ms, .backoff = 1ms};
  Start({"a", "denied", "refused", "silent"});

  EXPECT_THAT(WaitForFailure(), StatusIs(base::Code::kUnavailable,
                                         HasSubstr("3 of 4 hosts cannot be reached: denied, "
                                                   "refused, silent")));
  EXPECT_THAT(said_, UnorderedElementsAre(HasSubstr("host denied: the log-in was denied"),
                                          HasSubstr("host refused: no sshd"),
                                          HasSubstr("host silent: it does not answer")));
  EXPECT_THAT(failures_, SizeIs(1));
}

TEST_F(SshAgentsTest, AMachineOfAnotherKindIsNamed) {
  Write("arm/uname", "#!/bin/sh\necho aarch64\n");

  Start({"arm"});

  EXPECT_THAT(WaitForFailure(),
              StatusIs(base::Code::kUnavailable, HasSubstr("machine of kind aarch64")));
}

TEST_F(SshAgentsTest, TheKindOfAMachineIsNoTextForATerminal) {
  Write("arm/uname", "#!/bin/sh\nprintf 'x86\\033[2J\\n'\n");

  Start({"arm"});

  EXPECT_THAT(WaitForFailure(),
              StatusIs(base::Code::kUnavailable, HasSubstr("machine of kind x86?[2J")));
}

// A home on a server that is gone: it stayed among the 32, until the time to join was over.
TEST_F(SshAgentsTest, AMachineThatAnswersAndThenHangsIsNamed) {
  timing_.step = 300ms;
  timing_.hash_of_mb = 0ms;
  Write("stuck/mkdir", "#!/bin/sh\nexec sleep 100\n");

  Start({"a", "stuck"});

  EXPECT_THAT(WaitForFailure(),
              StatusIs(base::Code::kUnavailable,
                       AllOf(HasSubstr("host stuck cannot run this job: it answered, and then "
                                       "nothing came within 300"),
                             HasSubstr("looked for"))));
}

TEST_F(SshAgentsTest, ACopyThatHangsIsNamedAndOneThatGoesOnIsNot) {
  timing_.copy_step = 3s;
  timing_.hash_of_mb = 0ms;
  Write("agent", std::string(kAgent) + "# " + std::string(5'000'000, 'x') + "\n");
  Write("stuck/head", "#!/bin/sh\nexec sleep 100\n");
  // Slow, a piece at a time, and longer than a step as a whole.
  Write("stuck-not/head",
        "#!/bin/sh\nfor i in 1 2 3; do /usr/bin/head -c 1500000; sleep 1.2; done\n"
        "exec /usr/bin/head -c $(($2 - 4500000))\n");

  Start({"stuck-not", "stuck"});

  EXPECT_THAT(WaitForFailure(), StatusIs(base::Code::kUnavailable,
                                         AllOf(HasSubstr("host stuck cannot run this job"),
                                               HasSubstr("while lockstep was copied to it"))));
  EXPECT_TRUE(WaitForBootstrap("stuck-not"));
}

TEST_F(SshAgentsTest, AHostThatHasMoreFilesThanWeHaveIsNotBelieved) {
  Write("program", "#!/bin/sh\n");
  Write("hostile",
        "echo lockstep-start hello $(uname -m); read request\n"
        "for file in agent program third; do echo lockstep-start have /$file; done\n"
        "echo lockstep-start run; mkdir -p $DIR/home-$host; cat > $DIR/home-$host/bootstrap\n");

  Start({"hostile"}, folder_ + "/program");

  ASSERT_TRUE(WaitForBootstrap("hostile"));
  EXPECT_THAT(Read("home-hostile/bootstrap"),
              AllOf(HasSubstr("/program"), Not(HasSubstr("/third"))));
}

TEST_F(SshAgentsTest, AnAccountWithoutAShellIsToldInItsOwnWords) {
  Start({"nologin"});

  EXPECT_THAT(WaitForFailure(),
              StatusIs(base::Code::kUnavailable,
                       HasSubstr("exit code 1: This account is currently not available.")));
}

TEST_F(SshAgentsTest, AnAgentThatCannotRunTheJobSaysWhy) {
  Start({"unable"});

  EXPECT_THAT(WaitForFailure(), StatusIs(base::Code::kNotFound,
                                         HasSubstr("host unable cannot run this job: the program "
                                                   "is not there")));
}

TEST_F(SshAgentsTest, WithoutSshThePackageIsNamed) {
  std::filesystem::remove(folder_ + "/ssh");
  SshAgents::Config config{.ssh = {},
                           .hosts = {{base::NodeIndex(0), {}}},
                           .environment = {{"PATH", folder_}},
                           .agent_path = folder_ + "/agent",
                           .say = [](const std::string&) {}};
  agents_ = std::make_unique<SshAgents>(std::move(config), SshAgents::Deps{*loop_, *processes_});
  std::vector<AgentToStart> agents(1);
  agents_->Start(std::move(agents),
                 [this](base::NodeIndex, const base::Status& why) { failures_.push_back(why); });

  EXPECT_THAT(WaitForFailure(),
              StatusIs(base::Code::kUnavailable, HasSubstr("apt-get install openssh-client")));
}

TEST_F(SshAgentsTest, AtMost32HostsAreBusyAtOnce) {
  ASSERT_EQ(::mkfifo((folder_ + "/go").c_str(), 0600), 0);
  std::vector<std::string> hosts;
  for (int i = 0; i < 40; ++i) hosts.push_back("queued" + std::to_string(i));
  Start(hosts);
  const auto begun = [&] {
    int count = 0;
    for (const std::string& host : hosts) count += Tries(host) > 0 ? 1 : 0;
    return count;
  };

  ASSERT_TRUE(Wait([&] { return begun() == 32; }));
  EXPECT_EQ(Tries("queued31"), 1);
  EXPECT_EQ(Tries("queued32"), 0);
  // Each line lets one go on.
  std::ofstream go(folder_ + "/go");
  for (int i = 0; i < 40; ++i) go << "go\n" << std::flush;

  EXPECT_TRUE(Wait([&] { return begun() == 40; }));
}

TEST_F(SshAgentsTest, NoHostIsBegunOnceOneHasFailed) {
  std::vector<std::string> hosts(SshAgents::kAtOnceMax, "");
  for (size_t i = 0; i < hosts.size(); ++i) hosts[i] = "denied" + std::to_string(i);
  hosts.push_back("late");
  Start(hosts);

  EXPECT_THAT(WaitForFailure(), StatusIs(base::Code::kUnavailable, HasSubstr("32 of 33 hosts")));
  EXPECT_EQ(Tries("late"), 0);
  EXPECT_THAT(said_, SizeIs(32));
}

TEST_F(SshAgentsTest, WhatAnAgentSaysIsShownOnceAllHaveJoined) {
  Start({"a"});
  ASSERT_TRUE(WaitForBootstrap("a"));

  agents_->OnAllJoined();

  // Its input is still open: it reads on until the end of the job.
  EXPECT_TRUE(Finish());
  EXPECT_THAT(said_, ElementsAre("host a: hello from? the agent"));
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(SshAgentsTest, FinishEndsTheLogInsThatStillTry) {
  Start({"silent"});
  ASSERT_TRUE(Wait([&] { return Tries("silent") == 1; }));

  const base::SteadyTime before = clock_.Now();
  EXPECT_TRUE(Finish());

  EXPECT_LT(clock_.Now() - before, 1s);
  EXPECT_THAT(failures_, IsEmpty());
}

TEST(SshArgumentsTest, WhatTheUserSaidReachesSshAsWordsOfTheirOwn) {
  proto::SshPlacement ssh;
  ssh.set_port(2222);
  ssh.set_user("me");
  ssh.set_identity_file("/k e y");
  ssh.set_config_file("/con;fig");
  proto::SshHost host;
  host.set_host("b");

  const std::vector<std::string> words = SshAgents::SshArguments(ssh, host);

  const std::string line = [&] {
    std::string text;
    for (const std::string& word : words) text += "[" + word + "]";
    return text;
  }();
  EXPECT_THAT(line, AllOf(HasSubstr("[-F][/con;fig][-p][2222][-i][/k e y][--][me@b][exec sh -c '"),
                          HasSubstr("[BatchMode=yes]"), Not(HasSubstr("StrictHostKeyChecking"))));
}

TEST(SshArgumentsTest, AHostsOwnUserWins) {
  proto::SshPlacement ssh;
  ssh.set_user("me");
  proto::SshHost host;
  host.set_host("b");
  host.set_user("you");

  EXPECT_THAT(SshAgents::SshArguments(ssh, host), Contains("you@b"));
}

}  // namespace
}  // namespace lockstep::launcher
