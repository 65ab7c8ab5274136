// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/rotated_name.h"

#include <cstring>

namespace lockstep::process {

std::string RotatedName(const std::string& path, int number) {
  return number == 0 ? path : path + "." + std::to_string(number);
}

size_t PastLastNewline(std::string_view text) {
  // Not string_view::rfind, which goes byte by byte.
  const void* last = ::memrchr(text.data(), '\n', text.size());
  return last == nullptr ? 0
                         : static_cast<size_t>(static_cast<const char*>(last) - text.data()) + 1;
}

}  // namespace lockstep::process
