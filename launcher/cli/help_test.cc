// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cli/help.h"

#include <gmock/gmock.h>

#include <fstream>
#include <sstream>

namespace lockstep::launcher {
namespace {

using ::testing::HasSubstr;

std::string Golden(const std::string& name) {
  std::ifstream file("launcher/cli/testdata/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

constexpr char kUpdate[] = "Read it; when it is right: tools/generate_docs";

TEST(HelpTest, IsWhatTheGoldenFilesSay) {
  EXPECT_EQ(HelpOnAll(), Golden("help.txt")) << kUpdate;
  EXPECT_EQ(HelpOnVerb(VerbSpecOf(Verb::kRun)), Golden("help_run.txt")) << kUpdate;
  EXPECT_EQ(HelpOnVerb(VerbSpecOf(Verb::kRender)), Golden("help_render.txt")) << kUpdate;
}

TEST(HelpTest, FitsTwoScreensOf48LinesAnd100Columns) {
  for (const VerbSpec& verb : Verbs()) {
    std::istringstream help(HelpOnVerb(verb));
    int lines = 0;
    for (std::string line; std::getline(help, line); ++lines) EXPECT_LE(line.size(), 100u) << line;
    EXPECT_LE(lines, 96) << verb.name;
  }
}

TEST(HelpTest, EveryVerbHasExamplesAndEveryFlagALine) {
  for (const VerbSpec& verb : Verbs()) {
    const std::string help = HelpOnVerb(verb);
    const size_t examples = help.find("\nExamples:\n  ");
    ASSERT_NE(examples, std::string::npos) << verb.name;
    EXPECT_THAT(help.substr(examples), HasSubstr("lockstep " + std::string(verb.name)));
    for (const FlagSpec& flag : verb.flags) EXPECT_THAT(help, HasSubstr(std::string(flag.name)));
    EXPECT_THAT(HelpOnAll(), HasSubstr("  " + std::string(verb.name) + " "));
  }
}

}  // namespace
}  // namespace lockstep::launcher
