// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_TESTING_ROTATED_FILES_H_
#define LOCKSTEP_RUNTIME_PROCESS_TESTING_ROTATED_FILES_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/process/rotated_name.h"

namespace lockstep::process::testing {

inline std::string ReadWhole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// The contents of a rotated file's pieces, the oldest first; of numbers up to `number_max`.
inline std::vector<std::string> RotatedPieces(const std::string& path, int number_max = 1000) {
  std::vector<std::string> pieces;
  for (int number = number_max; number >= 0; --number) {
    const std::string name = RotatedName(path, number);
    if (std::filesystem::exists(name)) pieces.push_back(ReadWhole(name));
  }
  return pieces;
}

inline std::string Joined(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

}  // namespace lockstep::process::testing

#endif  // LOCKSTEP_RUNTIME_PROCESS_TESTING_ROTATED_FILES_H_
