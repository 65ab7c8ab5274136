// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "examples/fashion_mnist/image_set.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "runtime/base/testing/status_matchers.h"

namespace lockstep::examples {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Gzipped(const std::string& bytes, const std::string& name = "file.gz") {
  const std::string path = ::testing::TempDir() + "/" + name;
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return path;
}

const std::string kTwoByThree("\0\0\x08\2\0\0\0\2\0\0\0\3abcdef", 18);

TEST(IdxFileTest, ShapeAndBytesAreRead) {
  ASSERT_OK_AND_ASSIGN(const IdxFile file, ReadIdxFile(Gzipped(kTwoByThree), 100));

  EXPECT_THAT(file.shape, ElementsAre(2, 3));
  EXPECT_THAT(file.bytes, ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
}

TEST(IdxFileTest, RowsAreLimited) {
  ASSERT_OK_AND_ASSIGN(const IdxFile file, ReadIdxFile(Gzipped(kTwoByThree), 1));

  EXPECT_THAT(file.shape, ElementsAre(1, 3));
  EXPECT_THAT(file.bytes, ElementsAre('a', 'b', 'c'));
}

TEST(IdxFileTest, OtherFilesAreRefused) {
  EXPECT_THAT(ReadIdxFile("/nowhere/x.gz", 1),
              StatusIs(Code::kNotFound, HasSubstr("dataset-fashion-mnist")));
  EXPECT_THAT(ReadIdxFile(Gzipped(""), 1), StatusIs(Code::kDataLoss, HasSubstr("no IDX file")));
  EXPECT_THAT(ReadIdxFile(Gzipped(std::string("\0\0\x0d\2", 4)), 1),
              StatusIs(Code::kDataLoss, HasSubstr("no IDX file")));
  EXPECT_THAT(ReadIdxFile(Gzipped(kTwoByThree.substr(0, 10)), 1),
              StatusIs(Code::kDataLoss, HasSubstr("in its header")));
  EXPECT_THAT(ReadIdxFile(Gzipped(kTwoByThree.substr(0, 17)), 2),
              StatusIs(Code::kDataLoss, HasSubstr("before its 6 bytes")));
  EXPECT_THAT(ReadIdxFile(Gzipped(std::string("\0\0\x08\2\0\1\0\0\0\1\0\0", 12)), 1 << 20),
              StatusIs(Code::kDataLoss, HasSubstr("1 GiB")));
}

std::string Images(char count) {
  return std::string("\0\0\x08\3\0\0\0", 7) + count + std::string("\0\0\0\x1c\0\0\0\x1c", 8) +
         std::string(static_cast<size_t>(count) * 28 * 28, '\x7f');
}

std::string Labels(const std::string& labels) {
  return std::string("\0\0\x08\1\0\0\0", 7) + static_cast<char>(labels.size()) + labels;
}

TEST(ImageSetTest, PixelsAreScaledAndLabelsKept) {
  Gzipped(Images(2), "a-images-idx3-ubyte.gz");
  Gzipped(Labels({3, 9}), "a-labels-idx1-ubyte.gz");

  ASSERT_OK_AND_ASSIGN(const ImageSet set, ReadImageSet(::testing::TempDir(), "a", 100));

  EXPECT_EQ(set.count, 2);
  ASSERT_EQ(set.pixels.size(), 2u * 28 * 28);
  EXPECT_FLOAT_EQ(set.pixels[0], (127 - 72.9f) / 90);
  EXPECT_THAT(set.labels, ElementsAre(3, 9));
}

TEST(ImageSetTest, ImagesWithoutLabelsAreRefused) {
  Gzipped(Images(2), "b-images-idx3-ubyte.gz");
  Gzipped(Labels({3}), "b-labels-idx1-ubyte.gz");

  EXPECT_THAT(ReadImageSet(::testing::TempDir(), "b", 100),
              StatusIs(Code::kDataLoss, HasSubstr("do not match")));
}

}  // namespace
}  // namespace lockstep::examples
