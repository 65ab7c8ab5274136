// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "examples/fashion_mnist/image_set.h"

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <memory>

namespace lockstep::examples {
namespace {

constexpr int kDimensionsMax = 4;
constexpr uint64_t kBytesMax = uint64_t{1} << 30;

using GzipFile = std::unique_ptr<gzFile_s, int (*)(gzFile)>;

bool ReadExactly(gzFile file, void* data, size_t bytes) {
  return gzread(file, data, static_cast<unsigned>(bytes)) == static_cast<int>(bytes);
}

}  // namespace

base::Result<IdxFile> ReadIdxFile(const std::string& path, int64_t rows_max) {
  const GzipFile file(gzopen(path.c_str(), "rb"), gzclose);
  if (file == nullptr) {
    return base::NotFoundError("cannot open " + path +
                               "; install the package dataset-fashion-mnist or use --data");
  }
  // Two zeros, the element type (8: unsigned byte), the number of dimensions; then each, big
  // endian.
  uint8_t magic[4];
  if (!ReadExactly(file.get(), magic, sizeof(magic)) || magic[0] != 0 || magic[1] != 0 ||
      magic[2] != 8 || magic[3] < 1 || magic[3] > kDimensionsMax) {
    return base::DataLossError(path + " is no IDX file of bytes");
  }
  IdxFile idx;
  uint64_t bytes = 1;
  for (int i = 0; i < magic[3]; ++i) {
    uint8_t extent[4];
    if (!ReadExactly(file.get(), extent, sizeof(extent)))
      return base::DataLossError(path + " ends in its header");
    const int64_t value = int64_t{extent[0]} << 24 | extent[1] << 16 | extent[2] << 8 | extent[3];
    idx.shape.push_back(i == 0 ? std::min(value, rows_max) : value);
    bytes *= static_cast<uint64_t>(idx.shape.back());
    if (bytes > kBytesMax) return base::DataLossError(path + " says that it holds more than 1 GiB");
  }
  idx.bytes.resize(bytes);
  if (!ReadExactly(file.get(), idx.bytes.data(), idx.bytes.size())) {
    return base::DataLossError(path + " ends before its " + std::to_string(bytes) + " bytes");
  }
  return idx;
}

base::Result<ImageSet> ReadImageSet(const std::string& directory, const std::string& prefix,
                                    int64_t count_max) {
  const std::string path = directory + "/" + prefix;
  ASSIGN_OR_RETURN(const IdxFile images, ReadIdxFile(path + "-images-idx3-ubyte.gz", count_max));
  ASSIGN_OR_RETURN(const IdxFile labels, ReadIdxFile(path + "-labels-idx1-ubyte.gz", count_max));
  ImageSet set{.count = labels.shape[0]};
  if (images.shape != std::vector<int64_t>{set.count, 28, 28} || labels.shape.size() != 1) {
    return base::DataLossError("the images and the labels of " + path + " do not match");
  }
  set.pixels.reserve(images.bytes.size());
  for (const uint8_t pixel : images.bytes)
    set.pixels.push_back((static_cast<float>(pixel) - 72.9f) / 90.0f);
  set.labels.assign(labels.bytes.begin(), labels.bytes.end());
  return set;
}

}  // namespace lockstep::examples
