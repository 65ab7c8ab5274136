// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/safetensors_header.h"

#include <gtest/gtest.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::testing::IsOkAndHolds;
using base::testing::StatusIs;
using collectives::Dtype;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

TEST(SafetensorsHeaderTest, WrittenHeaderIsReadBack) {
  SafetensorsHeader header;
  header.metadata = {{"quote\"\\", "line\nbreak \x01 \xc3\xa4"}, {"empty", ""}};
  header.entries = {{"weight", Dtype::kF32, {2, 3}, 0, 24}, {"scalar", Dtype::kI64, {}, 24, 32}};

  ASSERT_OK_AND_ASSIGN(const SafetensorsHeader read,
                       ParseSafetensorsHeader(FormatSafetensorsHeader(header), 32));

  EXPECT_EQ(read.metadata, header.metadata);
  ASSERT_THAT(read.entries, SizeIs(2));
  EXPECT_EQ(read.entries[0].name, "weight");
  EXPECT_EQ(read.entries[0].dtype, Dtype::kF32);
  EXPECT_THAT(read.entries[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(read.entries[1].begin, 24u);
  EXPECT_THAT(read.entries[1].shape, ElementsAre());
}

TEST(SafetensorsHeaderTest, EveryDtypeKeepsItsName) {
  for (int dtype = 1; dtype <= 14; ++dtype) {
    SafetensorsHeader header;
    const uint64_t bytes = collectives::DtypeBytes(static_cast<Dtype>(dtype));
    header.entries = {{"x", static_cast<Dtype>(dtype), {}, 0, bytes}};

    ASSERT_OK_AND_ASSIGN(const auto read,
                         ParseSafetensorsHeader(FormatSafetensorsHeader(header), bytes));
    EXPECT_EQ(read.entries[0].dtype, static_cast<Dtype>(dtype));
  }
}

TEST(SafetensorsHeaderTest, OthersSpellingsAreUnderstood) {
  ASSERT_OK_AND_ASSIGN(const auto header, ParseSafetensorsHeader(R"( {
      "b" : {"data_offsets":[4, 8], "shape":[ ], "dtype":"F32"},
      "\u0061\ud83d\ude00\u00e4\u20ac\/" : {"dtype":"U8","shape":[4],"data_offsets":[0,4]},
      "none" : {"dtype":"U8","shape":[0,9223372036854775807],"data_offsets":[4,4]},
      "__metadata__" : {"tab\t" : "\b\f\r"} }   )",
                                                                 8));

  EXPECT_THAT(header.metadata, ElementsAre(Pair("tab\t", "\b\f\r")));
  ASSERT_THAT(header.entries, SizeIs(3));
  EXPECT_EQ(header.entries[0].name, "a\xf0\x9f\x98\x80\xc3\xa4\xe2\x82\xac/");
  EXPECT_EQ(header.entries[1].name, "none");
  EXPECT_EQ(header.entries[2].name, "b");
}

struct Bad {
  const char* text;
  const char* complaint;
};

TEST(SafetensorsHeaderTest, DamageIsNamed) {
  const Bad kBad[] = {
      {"", "no '{'"},
      {"{", "no '\"'"},
      {"{}x", "something after its end, at byte 2"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},})", "no '\"'"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{}})",
       "a second entry named 'a'"},
      {R"({"a":{"dtype":"U8","dtype":"U8"}})", "'dtype' twice in 'a'"},
      {R"({"a":{"dtype":"U8","shape":[4]}})", "'a' without dtype, shape or data_offsets"},
      {R"({"a":{"color":"red"}})", "the unknown field 'color' in 'a'"},
      {R"({"a":{"shape":[-1]}})", "no number in [0, 2^63)"},
      {R"({"a":{"shape":[9223372036854775808]}})", "no number in [0, 2^63)"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", "a second metadata value named 'a'"},
      {R"({"__metadata__":{"a":1}})", "no '\"'"},
      {R"({"\ud83d":{}})", "half a surrogate pair"},
      {R"({"\ude00":{}})", "half a surrogate pair"},
      {R"({"\u12g4":{}})", "no four hexadecimal digits"},
      {R"({"\x":{}})", "the unknown escape \\x"},
      {"{\"a\n\":{}}", "a control character"},
      {R"({"a)", "a string without an end"},
      {R"({"a\)", "a string without an end"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}})", "'a' lies at [1, 5)"},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,4]}})", "with its 16 bytes"},
      {R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})",
       "has 4 bytes of data; its header describes 3"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,0]}})", "'a' lies at [4, 0)"},
      {R"({"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,4]}})",
       "more than 2^63 bytes"},
  };

  for (const Bad& bad : kBad) {
    EXPECT_THAT(ParseSafetensorsHeader(bad.text, 4),
                StatusIs(Code::kDataLoss, HasSubstr(bad.complaint)))
        << bad.text;
  }
}

TEST(SafetensorsHeaderTest, UnknownDtypeIsUnimplementedNotDamage) {
  EXPECT_THAT(ParseSafetensorsHeader(R"({"a":{"dtype":"C64","shape":[],"data_offsets":[0,8]}})", 8),
              StatusIs(Code::kUnimplemented, HasSubstr("'a' is of dtype 'C64'")));
}

TEST(SafetensorsHeaderTest, SixtyFourDimensionsAreTheLimit) {
  const auto header = [](int dimensions) {
    std::string shape = "1";
    for (int i = 1; i < dimensions; ++i) shape += ",1";
    return R"({"a":{"dtype":"U8","shape":[)" + shape + R"(],"data_offsets":[0,1]}})";
  };

  EXPECT_OK(ParseSafetensorsHeader(header(64), 1));
  EXPECT_THAT(ParseSafetensorsHeader(header(65), 1),
              StatusIs(Code::kDataLoss, HasSubstr("64 dimensions")));
}

TEST(SafetensorsHeaderTest, TensorBytesStopAtTheLargest) {
  EXPECT_THAT(TensorBytes(Dtype::kF32, {}), IsOkAndHolds(4u));
  EXPECT_THAT(TensorBytes(Dtype::kF32, {1 << 20, 0}), IsOkAndHolds(0u));
  EXPECT_THAT(TensorBytes(Dtype::kU8, {INT64_MAX}), IsOkAndHolds(static_cast<uint64_t>(INT64_MAX)));
  EXPECT_THAT(TensorBytes(Dtype::kI16, {INT64_MAX}), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(TensorBytes(Dtype::kU8, {INT64_MAX, INT64_MAX}), StatusIs(Code::kOutOfRange));
  EXPECT_THAT(TensorBytes(Dtype::kU8, {-1}), StatusIs(Code::kOutOfRange));
}

}  // namespace
}  // namespace lockstep::rank
