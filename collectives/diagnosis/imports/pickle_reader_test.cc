// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/pickle_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>

#include "collectives/diagnosis/imports/json_tree.h"
#include "runtime/base/testing/status_matchers.h"

namespace lockstep::collectives {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using std::string_literals::operator""s;

std::string Data(const std::string& name) {
  std::ifstream file("collectives/diagnosis/imports/testdata/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string JsonOf(const std::string& pickle) {
  const auto tree = ReadPickle(pickle);
  return tree.ok() ? WriteJson(**tree) : tree.status().ToString();
}

TEST(PickleReaderTest, ReadsWhatPythonWrites) {
  EXPECT_EQ(JsonOf(Data("pickle_fuzz/by_python")),
            "{\"version\":\"2.10\",\"pg_config\":{},\"entries\":[],\"x\":[1,-1,1099511627776,1.5,"
            "null,true,[\"a\"],[\"a\",\"b\",3,4]],\"7\":9223372036854775807}");
}

TEST(PickleReaderTest, ReadsWhatTorchWrites) {
  const auto tree = ReadPickle(Data("gloo_missing/rank_0"));
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_EQ((*tree)->TextAt("version"), "2.10");
  ASSERT_EQ((*tree)->ItemsAt("entries").size(), 4u);
  const Tree& last = *(*tree)->ItemsAt("entries")[3];
  EXPECT_EQ(last.TextAt("profiling_name"), "gloo:all_reduce");
  EXPECT_EQ(last.IntegerAt("collective_seq_id"), 4);
  EXPECT_GT(last.IntegerAt("time_created_ns"), int64_t{1} << 60);
}

TEST(PickleReaderTest, ReadsItsOwnWriting) {
  const auto tree = ReadPickle(Data("gloo_missing/rank_0"));
  ASSERT_TRUE(tree.ok()) << tree.status();
  EXPECT_EQ(JsonOf(WritePickle(**tree)), WriteJson(**tree));
  const TreePtr real = Tree::Real(-0.25);
  EXPECT_EQ(JsonOf(WritePickle(*real)), "-0.25");
  EXPECT_EQ(JsonOf(WritePickle(*Tree::Integer(INT64_MIN))), "-9223372036854775808");
}

TEST(PickleReaderTest, RefusesByNameWhatWantsToRun) {
  EXPECT_THAT(
      ReadPickle(Data("pickle_fuzz/global")),
      StatusIs(Code::kInvalidArgument, HasSubstr("it wants to call posix.system: refused")));
  EXPECT_THAT(
      ReadPickle(Data("pickle_fuzz/stack_global")),
      StatusIs(Code::kInvalidArgument, HasSubstr("it wants to call posix.system: refused")));
  EXPECT_THAT(ReadPickle("\x80\x02(ios\nsystem\n."s),
              StatusIs(Code::kInvalidArgument, HasSubstr("call os.system: refused")));
  for (const auto& [opcode, name] :
       {std::pair('R', "REDUCE"), std::pair('b', "BUILD"), std::pair('o', "OBJ"),
        std::pair('\x81', "NEWOBJ"), std::pair('\x92', "NEWOBJ_EX"), std::pair('Q', "BINPERSID"),
        std::pair('\x82', "EXT1"), std::pair('\x97', "NEXT_BUFFER")}) {
    EXPECT_THAT(ReadPickle("\x80\x02NN"s + opcode + "."),
                StatusIs(Code::kInvalidArgument, HasSubstr("("s + name + "): refused")));
  }
  EXPECT_THAT(ReadPickle("\x80\x02\xff."s),
              StatusIs(Code::kInvalidArgument, HasSubstr("byte 2: opcode 255 is none")));
}

TEST(PickleReaderTest, NoPartOfADumpIsADump) {
  const std::string whole = Data("gloo_missing/rank_0");
  ASSERT_TRUE(ReadPickle(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto tree = ReadPickle(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(tree.ok()) << size;
    const char* const why = size < 2 ? "does not begin" : "cut short";
    ASSERT_THAT(tree, StatusIs(Code::kInvalidArgument, HasSubstr(why))) << size;
  }
}

TEST(PickleReaderTest, FewBytesDoNotBecomeALongWalk) {
  EXPECT_THAT(ReadPickle(Data("pickle_fuzz/bomb")),
              StatusIs(Code::kOutOfRange, HasSubstr("values when each is counted")));
  EXPECT_THAT(ReadPickle(Data("pickle_fuzz/deep")),
              StatusIs(Code::kOutOfRange, HasSubstr("deeper than 32 levels")));
}

TEST(PickleReaderTest, NothingContainsItself) {
  EXPECT_THAT(ReadPickle(Data("pickle_fuzz/own_child")),
              StatusIs(Code::kInvalidArgument, HasSubstr("already part of something")));
  // a = []; b = [a]; a.append(b)
  EXPECT_THAT(ReadPickle("\x80\x02]q\0]q\1h\0ah\0h\1a."s),
              StatusIs(Code::kInvalidArgument, HasSubstr("already part of something")));
}

TEST(PickleReaderTest, ClaimsOfSizeAreNotBelieved) {
  EXPECT_THAT(ReadPickle("\x80\x02X\xff\xff\xff\x7f."s), StatusIs(Code::kInvalidArgument));
  EXPECT_THAT(ReadPickle("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff."s),
              StatusIs(Code::kInvalidArgument, HasSubstr("cut short")));
  EXPECT_THAT(ReadPickle("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\1."s),
              StatusIs(Code::kInvalidArgument, HasSubstr("more than 64 bits")));
}

TEST(PickleReaderTest, WhatIsNotThereIsNotTaken) {
  for (const char* const body : {"a", "e", "s", "u", "t", "q\1", "N(a", "N(\x85", "(}s", "h\1",
                                 "(NNu", "}(Nu", "}NNs", "NN", "(N"}) {
    EXPECT_THAT(ReadPickle("\x80\x02"s + body + "."), StatusIs(Code::kInvalidArgument)) << body;
  }
  EXPECT_THAT(ReadPickle("\x80\x02NNa."s), StatusIs(Code::kInvalidArgument, HasSubstr("no list")));
  EXPECT_THAT(ReadPickle("\x80\x06N."s), StatusIs(Code::kInvalidArgument, HasSubstr("2 to 5")));
}

}  // namespace
}  // namespace lockstep::collectives
