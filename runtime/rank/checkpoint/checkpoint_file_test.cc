// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/checkpoint_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/storage/fake_file_system.h"

namespace lockstep::rank {
namespace {

using base::Code;
using base::testing::StatusIs;
using collectives::Dtype;
using storage::FakeFileSystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::Pair;
using ::testing::SizeIs;

template <class T>
TensorView View(std::string name, Dtype dtype, std::vector<int64_t> shape,
                const std::vector<T>& values) {
  return {std::move(name), dtype, std::move(shape), std::as_bytes(std::span(values))};
}

const std::vector<uint8_t> kState = {1, 2, 3};
const std::vector<float> kWeight = {1.5f, -2, 3, 4};
const std::vector<int64_t> kStep = {120};

base::Result<std::vector<std::byte>> Written(std::vector<TensorView> tensors,
                                             const CheckpointMetadata& metadata = {
                                                 {"step", "120"}}) {
  FakeFileSystem files;
  RETURN_IF_ERROR(files.MakeDirectories("/c"));
  RETURN_IF_ERROR(WriteCheckpointFile(files, "/c/file", metadata, std::move(tensors)));
  return files.ReadFile("/c/file", 1 << 20);
}

std::vector<TensorView> ThreeTensors() {
  return {View("rng", Dtype::kU8, {3}, kState), View("weight", Dtype::kF32, {2, 2}, kWeight),
          View("step", Dtype::kI64, {}, kStep)};
}

TEST(CheckpointFileTest, WhatWasWrittenIsReadBack) {
  ASSERT_OK_AND_ASSIGN(auto bytes, Written(ThreeTensors()));
  ASSERT_OK_AND_ASSIGN(const CheckpointFile file, CheckpointFile::Parse(std::move(bytes)));

  EXPECT_THAT(file.metadata(), ElementsAre(Pair("step", "120")));
  ASSERT_THAT(file.tensors(), SizeIs(3));
  const TensorView* weight = file.Find("weight");
  ASSERT_NE(weight, nullptr);
  EXPECT_EQ(weight->dtype, Dtype::kF32);
  EXPECT_THAT(weight->shape, ElementsAre(2, 2));
  ASSERT_EQ(weight->bytes.size(), 16u);
  EXPECT_EQ(std::memcmp(weight->bytes.data(), kWeight.data(), 16), 0);
  EXPECT_THAT(file.Find("lockstep.crc32c"), IsNull());
}

TEST(CheckpointFileTest, DataIsAlignedForItsElements) {
  ASSERT_OK_AND_ASSIGN(auto bytes, Written(ThreeTensors()));
  ASSERT_OK_AND_ASSIGN(const CheckpointFile file, CheckpointFile::Parse(std::move(bytes)));

  const auto offset = [&](const char* name) {
    return file.Find(name)->bytes.data() - file.bytes().data();
  };
  EXPECT_EQ(offset("step"), 4096);
  EXPECT_EQ(offset("weight"), 4096 + 8);
  EXPECT_EQ(offset("rng"), 4096 + 24);
}

TEST(CheckpointFileTest, NothingAndEmptyTensorsAreContents) {
  const std::vector<float> none;

  ASSERT_OK_AND_ASSIGN(auto bytes, Written({}, {}));
  EXPECT_OK(CheckpointFile::Parse(std::move(bytes)));
  ASSERT_OK_AND_ASSIGN(bytes, Written({View("rng", Dtype::kU8, {3}, kState),
                                       View("none", Dtype::kF32, {0, 7}, none)}));
  ASSERT_OK_AND_ASSIGN(const CheckpointFile file, CheckpointFile::Parse(std::move(bytes)));
  EXPECT_THAT(file.Find("none")->shape, ElementsAre(0, 7));
}

TEST(CheckpointFileTest, EveryFlippedBitIsFound) {
  ASSERT_OK_AND_ASSIGN(const auto bytes, Written(ThreeTensors()));
  int refused = 0;

  for (size_t i = 0; i < bytes.size(); ++i) {
    auto damaged = bytes;
    damaged[i] ^= std::byte{static_cast<uint8_t>(1 << (i % 8))};
    const auto file = CheckpointFile::Parse(std::move(damaged));
    ASSERT_FALSE(file.ok()) << "byte " << i;
    ++refused;
  }
  EXPECT_EQ(refused, static_cast<int>(bytes.size()));
}

TEST(CheckpointFileTest, EveryTruncationIsFound) {
  ASSERT_OK_AND_ASSIGN(const auto bytes, Written(ThreeTensors()));

  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_THAT(
        CheckpointFile::Parse({bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)}),
        StatusIs(Code::kDataLoss))
        << size;
  }
}

TEST(CheckpointFileTest, DamagedTensorIsNamed) {
  ASSERT_OK_AND_ASSIGN(auto bytes, Written(ThreeTensors()));
  bytes[4096 + 8] ^= std::byte{1};

  EXPECT_THAT(CheckpointFile::Parse(std::move(bytes)),
              StatusIs(Code::kDataLoss, HasSubstr("tensor 'weight' is damaged: its CRC32C is ")));
}

TEST(CheckpointFileTest, HugeHeaderLengthIsRefused) {
  std::vector<std::byte> bytes(100, std::byte{0xff});

  EXPECT_THAT(CheckpointFile::Parse(std::move(bytes)),
              StatusIs(Code::kDataLoss, HasSubstr("names a header of")));
}

TEST(CheckpointFileTest, WrongContentsAreRefusedWithTheTensorsName) {
  EXPECT_THAT(Written({View("a", Dtype::kU8, {3}, kState), View("a", Dtype::kU8, {3}, kState)}),
              StatusIs(Code::kInvalidArgument, HasSubstr("the tensor 'a'")));
  EXPECT_THAT(Written({View("lockstep.crc32c", Dtype::kU8, {3}, kState)}),
              StatusIs(Code::kInvalidArgument, HasSubstr("reserved")));
  EXPECT_THAT(Written({View("__metadata__", Dtype::kU8, {3}, kState)}),
              StatusIs(Code::kInvalidArgument, HasSubstr("reserved")));
  EXPECT_THAT(
      Written({View("a", Dtype::kU8, {4}, kState)}),
      StatusIs(Code::kInvalidArgument, HasSubstr("'a' has 3 bytes; its dtype and shape say 4")));
}

TEST(CheckpointFileTest, FailedWriteIsReported) {
  FakeFileSystem files;
  ASSERT_OK(files.MakeDirectories("/c"));
  files.FailCall(1);

  EXPECT_THAT(WriteCheckpointFile(files, "/c/file", {}, ThreeTensors()),
              StatusIs(Code::kResourceExhausted));
}

}  // namespace
}  // namespace lockstep::rank
