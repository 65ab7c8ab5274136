// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_TESTING_GOLDEN_H_
#define LOCKSTEP_RUNTIME_BASE_TESTING_GOLDEN_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace lockstep::base::testing {

/// Compares `actual` with the file at `path` (from the repository's root; it must be in the test's
/// `data`). Any thread.
///
///   EXPECT_TRUE(MatchesGolden("runtime/topology/testdata/laptop.env", block));
///
/// `UPDATE_GOLDEN=$PWD bazel run //runtime/topology:environment_test` writes the files anew
/// instead; read the diff.
inline ::testing::AssertionResult MatchesGolden(const std::string& path,
                                                const std::string& actual) {
  if (const char* root = std::getenv("UPDATE_GOLDEN"); root != nullptr) {
    if (std::ofstream(root + ("/" + path)) << actual) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "cannot write " << root << "/" << path;
  }
  std::ifstream file(path);
  const std::string expected((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
  if (file.is_open() && expected == actual) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << path << (file.is_open() ? " differs" : " is missing") << "; it has:\n"
         << expected << "\nbut the test made:\n"
         << actual << "\n(UPDATE_GOLDEN=$PWD bazel run TARGET writes it anew)";
}

}  // namespace lockstep::base::testing

#endif  // LOCKSTEP_RUNTIME_BASE_TESTING_GOLDEN_H_
