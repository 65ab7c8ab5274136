// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_EXAMPLES_FASHION_MNIST_IMAGE_SET_H_
#define LOCKSTEP_EXAMPLES_FASHION_MNIST_IMAGE_SET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace lockstep::examples {

/// An array of bytes as the MNIST data sets come: gzip around IDX.
struct IdxFile {
  std::vector<int64_t> shape;  // {60000, 28, 28}
  std::vector<uint8_t> bytes;  // row-major
};

/// Reads at most the first `rows_max` rows. Errors: NotFound - no such file, with the Debian
/// package that has it; DataLoss - not such a file, or cut off.
base::Result<IdxFile> ReadIdxFile(const std::string& path, int64_t rows_max);

/// Images of 28 x 28 pixels, of about zero mean and unit variance, and what they show.
struct ImageSet {
  int64_t count = 0;
  std::vector<float> pixels;    // count * 28 * 28
  std::vector<int64_t> labels;  // count, in [0, 10)
};

/// The first images, at most `count_max`, of DIRECTORY/PREFIX-{images-idx3,labels-idx1}-ubyte.gz.
/// Errors: as ReadIdxFile; DataLoss - files that do not match.
base::Result<ImageSet> ReadImageSet(const std::string& directory, const std::string& prefix,
                                    int64_t count_max);

}  // namespace lockstep::examples

#endif  // LOCKSTEP_EXAMPLES_FASHION_MNIST_IMAGE_SET_H_
