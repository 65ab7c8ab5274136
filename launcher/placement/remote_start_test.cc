// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The script that starts agents elsewhere, run by each shell that is here.
#include "launcher/placement/remote_start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace lockstep::launcher {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

// "agent": a script that says that it runs, with which umask, and what it reads.
constexpr char kAgent[] = "#!/bin/sh\necho agent $1 $(umask) $(cat)\n";

std::string Hash(const std::string& file) {
  FILE* pipe = ::popen(("sha256sum " + file).c_str(), "r");
  char text[65] = {};
  const size_t size = ::fread(text, 1, 64, pipe);
  ::pclose(pipe);
  return {text, size};
}

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// A machine: its home, and the shell that it logs in with.
class RemoteStartTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "remoteXXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    std::filesystem::create_directory(home());
    std::filesystem::create_directory(folder_ + "/bin");
    std::filesystem::create_symlink(GetParam(), folder_ + "/bin/sh");
    std::ofstream(folder_ + "/agent") << kAgent;
    std::ofstream(folder_ + "/program") << "program";
    agent_ = {Hash(folder_ + "/agent"), sizeof(kAgent) - 1};
    program_ = {Hash(folder_ + "/program"), 7};
  }
  void TearDown() override {
    std::filesystem::permissions(home(), std::filesystem::perms::owner_all);
    std::filesystem::remove_all(folder_);
  }

  std::string home() const { return folder_ + "/home"; }
  std::string AgentFile() const {
    return home() + "/.cache/lockstep/agents/" + agent_.hash + "/lockstep";
  }

  /// Logs in with `input` on standard input; the lines of standard output. Everything that is sent
  /// is there at once, as head of coreutils allows.
  std::vector<std::string> LogIn(const std::string& input, const std::string& variables = "") {
    std::ofstream(folder_ + "/input", std::ios::binary) << input;
    std::ofstream(folder_ + "/command") << RemoteStartCommand();
    const std::string line = "cd / && umask 022 && exec env -i PATH=" + folder_ +
                             "/bin:\"$PATH\" HOME=" + home() + " " + variables + " sh -c \"$(cat " +
                             folder_ + "/command)\" < " + folder_ + "/input > " + folder_ +
                             "/out 2> " + folder_ + "/err";
    const int status = ::system(line.c_str());
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::vector<std::string> lines;
    std::istringstream out(ReadAll(folder_ + "/out"));
    for (std::string one; std::getline(out, one);) lines.push_back(one);
    return lines;
  }

  std::string folder_;
  RemoteFile agent_;
  RemoteFile program_;
  int status_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Shells, RemoteStartTest,
                         ::testing::Values("/bin/bash", "/bin/dash", "/bin/busybox"),
                         [](const auto& shell) { return std::string(shell.param).substr(5); });

TEST_P(RemoteStartTest, AnAgentThatIsNotThereIsAskedForAndRun) {
  const auto lines = LogIn(RemoteStartRequest(agent_, {}) + kAgent + "bootstrap");

  EXPECT_THAT(lines, ElementsAre(StartsWith("lockstep-start hello "), "lockstep-start need",
                                 "lockstep-start have " + AgentFile(), "lockstep-start run",
                                 "agent agent 0022 bootstrap"))
      << ReadAll(folder_ + "/err");
  EXPECT_EQ(status_, 0);
}

TEST_P(RemoteStartTest, OneThatIsThereIsNotAskedForAgain) {
  LogIn(RemoteStartRequest(agent_, {}) + kAgent);

  const auto lines = LogIn(RemoteStartRequest(agent_, {}) + "bootstrap");

  EXPECT_THAT(lines,
              ElementsAre(StartsWith("lockstep-start hello "), "lockstep-start have " + AgentFile(),
                          "lockstep-start run", "agent agent 0022 bootstrap"));
}

TEST_P(RemoteStartTest, ProgramsAreKeptBesideAgents) {
  const auto lines = LogIn(RemoteStartRequest(agent_, program_) + kAgent + "program");

  const std::string path = home() + "/.cache/lockstep/programs/" + program_.hash + "/program";
  EXPECT_THAT(lines, ElementsAre(StartsWith("lockstep-start hello "), "lockstep-start need",
                                 "lockstep-start have " + AgentFile(), "lockstep-start need",
                                 "lockstep-start have " + path, "lockstep-start run",
                                 StartsWith("agent agent 0022")));
  EXPECT_EQ(ReadAll(path), "program");
}

TEST_P(RemoteStartTest, NobodyElseCanWriteOrReadWhatIsKept) {
  LogIn(RemoteStartRequest(agent_, {}) + kAgent);

  for (std::string path = AgentFile(); path != home() + "/.cache";
       path = std::filesystem::path(path).parent_path()) {
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0) << path;
    EXPECT_EQ(status.st_mode & 0777u, 0700u) << path;
  }
}

TEST_P(RemoteStartTest, ACopyThatIsCutShortIsThrownAway) {
  const auto lines = LogIn(RemoteStartRequest(agent_, {}) + std::string(kAgent).substr(0, 9));

  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[2], AllOf(StartsWith("lockstep-start fail "), HasSubstr("came incomplete")));
  EXPECT_NE(status_, 0);
  EXPECT_TRUE(std::filesystem::is_empty(std::filesystem::path(AgentFile()).parent_path()));
}

TEST_P(RemoteStartTest, AFileOfAnotherContentIsThrownAway) {
  std::string other = kAgent;
  other.back() = ' ';

  const auto lines = LogIn(RemoteStartRequest(agent_, {}) + other);

  EXPECT_THAT(lines.back(), HasSubstr("came incomplete"));
  EXPECT_FALSE(std::filesystem::exists(AgentFile()));
}

TEST_P(RemoteStartTest, ADamagedAgentIsReplaced) {
  LogIn(RemoteStartRequest(agent_, {}) + kAgent);
  std::filesystem::resize_file(AgentFile(), 3);

  const auto lines = LogIn(RemoteStartRequest(agent_, {}) + kAgent);

  EXPECT_THAT(lines.back(), StartsWith("agent agent"));
  EXPECT_EQ(ReadAll(AgentFile()), kAgent);
}

// Else a power loss may leave it with the right size and without its content: it was executed.
TEST_P(RemoteStartTest, AnAgentIsOnTheDiskBeforeItHasItsName) {
  if (GetParam() == std::string("/bin/busybox")) {
    GTEST_SKIP() << "it uses a sync of its own: nobody can look on";
  }
  const std::string sync = folder_ + "/bin/sync";
  std::ofstream(sync) << "#!/bin/sh\ncat \"$1\" > " << folder_ << "/synced\nls " << AgentFile()
                      << " > " << folder_ << "/named 2>&1 && exit 1\nexit 0\n";
  ::chmod(sync.c_str(), 0755);

  const auto lines = LogIn(RemoteStartRequest(agent_, {}) + kAgent);

  EXPECT_THAT(lines.back(), StartsWith("agent agent"));
  EXPECT_EQ(ReadAll(folder_ + "/synced"), kAgent);
  EXPECT_THAT(ReadAll(folder_ + "/named"), HasSubstr("No such file"));
}

TEST_P(RemoteStartTest, ALinkThatSomebodyHasPutBelowTmpIsNotFollowed) {
  if (GetParam() == std::string("/bin/busybox")) {
    GTEST_SKIP() << "it uses a mkdir of its own: nobody can be told when to be faster";
  }
  const std::string base = "/tmp/lockstep-agents-" + std::to_string(::getuid());
  const std::string target = folder_ + "/target";
  std::filesystem::remove_all(base);
  std::filesystem::create_directory(target);
  ::chmod(target.c_str(), 0755);
  // Somebody is faster than the script: the link is there as soon as the folder was made.
  const std::string mkdir = folder_ + "/bin/mkdir";
  std::ofstream(mkdir) << "#!/bin/sh\n/bin/mkdir \"$@\"; code=$?\nif [ -d " << base
                       << " ]; then /bin/rmdir " << base << "; ln -s " << target << " " << base
                       << "; fi\nexit $code\n";
  ::chmod(mkdir.c_str(), 0755);

  const auto lines = LogIn(RemoteStartRequest(agent_, {}) + kAgent, "XDG_CACHE_HOME=/proc/nowhere");

  EXPECT_TRUE(std::filesystem::is_symlink(base)) << "the test itself";
  EXPECT_THAT(lines.back(), AllOf(StartsWith("lockstep-start fail "), HasSubstr(base)));
  EXPECT_TRUE(std::filesystem::is_empty(target));
  struct stat status{};
  ASSERT_EQ(::stat(target.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0755u);
  std::filesystem::remove(base);
}

TEST_P(RemoteStartTest, WithoutAWritableHomeTheAgentIsKeptBelowTmp) {
  const auto lines =
      LogIn(RemoteStartRequest(agent_, {}) + kAgent + "bootstrap", "XDG_CACHE_HOME=/proc/nowhere");

  const std::string base = "/tmp/lockstep-agents-" + std::to_string(::getuid());
  const std::string path = base + "/agents/" + agent_.hash + "/lockstep";
  EXPECT_THAT(lines, ::testing::Contains("lockstep-start have " + path));
  EXPECT_THAT(lines.back(), StartsWith("agent agent"));
  std::filesystem::remove_all(std::filesystem::path(path).parent_path());
}

TEST_P(RemoteStartTest, AnEndOfInputBeforeTheRequestDoesNothing) {
  const auto lines = LogIn("");

  EXPECT_THAT(lines, ElementsAre(MatchesRegex("lockstep-start hello .+")));
  EXPECT_EQ(status_, 0);
  EXPECT_FALSE(std::filesystem::exists(home() + "/.cache"));
}

TEST(RemoteStartCommandTest, IsOneWordInQuotesThatMeanTheSameToEveryShell) {
  const std::string command(RemoteStartCommand());
  constexpr std::string_view kFront = "exec sh -c '";

  ASSERT_TRUE(command.starts_with(kFront) && command.ends_with("'"));
  const std::string script = command.substr(kFront.size(), command.size() - kFront.size() - 1);
  // csh: ! and newlines; fish: backslashes.
  EXPECT_EQ(script.find_first_of("'!\\\n"), std::string::npos);
}

TEST(RemoteStartLineTest, OnlyOurOwnLinesAreUnderstood) {
  using Kind = RemoteStartLine::Kind;
  const auto have = ParseRemoteStartLine("lockstep-start have /a b/c");

  ASSERT_TRUE(have.has_value());
  EXPECT_EQ(have->kind, Kind::kHave);
  EXPECT_EQ(have->text, "/a b/c");
  EXPECT_EQ(ParseRemoteStartLine("lockstep-start run")->kind, Kind::kRun);
  EXPECT_EQ(ParseRemoteStartLine("lockstep-start need")->kind, Kind::kNeed);
  EXPECT_EQ(ParseRemoteStartLine("lockstep-start fail x y")->text, "x y");
  EXPECT_EQ(ParseRemoteStartLine("lockstep-start hello x86_64")->text, "x86_64");
  for (const char* text : {"", "Welcome to node-a!", "lockstep-start", "lockstep-start dance",
                           " lockstep-start run", "lockstep-startrun"}) {
    EXPECT_EQ(ParseRemoteStartLine(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace lockstep::launcher
