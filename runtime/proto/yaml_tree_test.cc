// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/yaml_tree.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::proto {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;

std::string Repeat(std::string_view text, size_t times) {
  std::string result;
  result.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) result += text;
  return result;
}

TEST(YamlTreeTest, KnowsScalarsListsAndMapsAndTheirLines) {
  ASSERT_OK_AND_ASSIGN(const YamlTree tree, YamlTree::Parse("a: [1, \"2\", ~]\nb:\n  c: x\n"));

  const YamlNode& root = tree.root();
  ASSERT_EQ(root.kind, YamlNode::Kind::kMap);
  ASSERT_EQ(root.children.size(), 4u);
  EXPECT_EQ(root.children[0]->text, "a");
  const YamlNode& list = *root.children[1];
  ASSERT_EQ(list.kind, YamlNode::Kind::kList);
  EXPECT_EQ(list.children[0]->kind, YamlNode::Kind::kPlain);
  EXPECT_EQ(list.children[1]->kind, YamlNode::Kind::kQuoted);
  EXPECT_EQ(list.children[2]->kind, YamlNode::Kind::kNull);
  EXPECT_EQ(root.children[3]->children[0]->line, 3);
}

TEST(YamlTreeTest, AliasesStandForWhatTheyName) {
  ASSERT_OK_AND_ASSIGN(const YamlTree tree, YamlTree::Parse("a: &x [1, 2]\nb: *x\n"));

  EXPECT_EQ(tree.root().children[1], tree.root().children[3]);
  EXPECT_EQ(tree.root().expanded_nodes, 9u);
}

TEST(YamlTreeTest, RefusesWhatIsNoSingleDocument) {
  EXPECT_THAT(YamlTree::Parse(""), StatusIs(Code::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(YamlTree::Parse("a: 1\n---\nb: 2\n"),
              StatusIs(Code::kInvalidArgument, HasSubstr("more than one")));
  EXPECT_THAT(YamlTree::Parse("a: 1\nb: [2"),
              StatusIs(Code::kInvalidArgument, HasSubstr("line 2")));
  EXPECT_THAT(YamlTree::Parse("a: !!python/object:os.system x"),
              StatusIs(Code::kInvalidArgument, HasSubstr("tag")));
  EXPECT_THAT(YamlTree::Parse("a: &x [*x]"), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(YamlTree::Parse("a: *nothing"), StatusIs(Code::kInvalidArgument));
}

TEST(YamlTreeTest, LimitsAreWhereTheyAreSaidToBe) {
  const std::string deepest = Repeat("[", YamlTree::kMaxDepth) + Repeat("]", YamlTree::kMaxDepth);
  const std::string widest = "[" + Repeat("a,", YamlTree::kMaxNodes - 1) + "]";
  const std::string longest = "\"" + Repeat("a", YamlTree::kMaxBytes - 2) + "\"";

  EXPECT_OK(YamlTree::Parse(deepest));
  EXPECT_OK(YamlTree::Parse(widest));
  EXPECT_OK(YamlTree::Parse(longest));
  EXPECT_THAT(YamlTree::Parse("[" + deepest + "]"),
              StatusIs(Code::kInvalidArgument, HasSubstr("deeper than 64")));
  EXPECT_THAT(YamlTree::Parse("[a," + widest.substr(1)),
              StatusIs(Code::kInvalidArgument, HasSubstr("more than 20000")));
  EXPECT_THAT(YamlTree::Parse(longest + "\n"),
              StatusIs(Code::kInvalidArgument, HasSubstr("at most 262144")));
}

// Ten levels of ten aliases: 10^10 nodes for who expands them.
std::string AliasBomb() {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int level = 1; level < 10; ++level) {
    const std::string below = "*a" + std::to_string(level - 1);
    text += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + below +
            Repeat("," + below, 9) + "]\n";
  }
  return text;
}

struct Bomb {
  const char* name;
  std::string (*make)();  // only where it is needed, so that no bomb pays for the others' memory
};

class YamlTreeBombTest : public ::testing::TestWithParam<Bomb> {};

#if defined(__SANITIZE_ADDRESS__)
constexpr int64_t kMaxRssKib = 400 * 1024;  // what is freed stays in its quarantine
#else
constexpr int64_t kMaxRssKib = 100 * 1024;
#endif

// Runs in a process of its own, so that its time and memory are this bomb's alone.
[[noreturn]] void ParseAndReport(const std::string& text) {
  const rlimit limit{10, 10};
  setrlimit(RLIMIT_CPU, &limit);
  const bool refused = !YamlTree::Parse(text).ok();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const int64_t cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
  fprintf(stderr, "refused %d, %ld ms, %ld MiB\n", refused, cpu_ms, usage.ru_maxrss / 1024);
  std::exit(refused && cpu_ms < 1000 && usage.ru_maxrss < kMaxRssKib ? 0 : 1);
}

TEST_P(YamlTreeBombTest, IsRefusedWithinASecondAnd100Megabytes) {
  EXPECT_EXIT(ParseAndReport(GetParam().make()), ::testing::ExitedWithCode(0), "refused 1");
}

// All but one are cut to the size that the parser accepts, where the work is greatest.
std::string Cut(std::string text) { return text.substr(0, YamlTree::kMaxBytes); }

INSTANTIATE_TEST_SUITE_P(
    Bombs, YamlTreeBombTest,
    ::testing::Values(
        Bomb{"TenMegabytes", [] { return Repeat("a: b\n", 2'000'000); }},
        Bomb{"OpenLists", [] { return Cut(Repeat("[", YamlTree::kMaxBytes)); }},
        Bomb{"OpenMaps", [] { return Cut(Repeat("{a: ", YamlTree::kMaxBytes / 4)); }},
        Bomb{"NestedBlockLists", [] { return Cut(Repeat("- ", YamlTree::kMaxBytes / 2)); }},
        Bomb{"NestedKeys", [] { return Cut(Repeat("? ", YamlTree::kMaxBytes / 2)); }},
        Bomb{"UnfinishedList", [] { return Cut("[" + Repeat("a,", YamlTree::kMaxBytes)); }},
        Bomb{"UnfinishedMap", [] { return Cut("{" + Repeat("a: b,", YamlTree::kMaxBytes)); }},
        Bomb{"UnfinishedString", [] { return Cut("a: \"" + Repeat("b", YamlTree::kMaxBytes)); }},
        Bomb{"Aliases", [] { return AliasBomb(); }},
        Bomb{"ManyAnchors", [] { return Cut(Repeat("- &a b\n", YamlTree::kMaxBytes / 7) + "]"); }},
        Bomb{"Indented", [] { return Repeat(" ", YamlTree::kMaxBytes - 3) + "- ]"; }},
        Bomb{"Colons", [] { return Cut(Repeat(":", YamlTree::kMaxBytes)); }},
        Bomb{"Tags", [] { return Cut(Repeat("!a ", YamlTree::kMaxBytes / 3)); }},
        Bomb{"ZeroBytes", [] { return std::string(YamlTree::kMaxBytes, '\0'); }},
        Bomb{"Truncated",
             [] {
               return std::string(
                   "apiVersion: lockstep.dev/v1alpha1\nspec: {program: {command: [\"./tr");
             }}),
    [](const auto& bomb) { return std::string(bomb.param.name); });

}  // namespace
}  // namespace lockstep::proto
