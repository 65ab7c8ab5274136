// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Any bytes: refused, or a file whose views lie within it.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/rank/checkpoint/checkpoint_file.h"
#include "runtime/rank/checkpoint/safetensors_header.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lockstep::rank::CheckpointFile;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const auto file = CheckpointFile::Parse(std::vector<std::byte>(bytes, bytes + size));
  if (file.ok()) {
    for (const auto& tensor : file->tensors()) {
      LOCKSTEP_CHECK(tensor.bytes.data() >= file->bytes().data() &&
                         tensor.bytes.data() + tensor.bytes.size() <= file->bytes().data() + size,
                     "a view outside the file");
    }
  }
  // The header alone, which the checksums would otherwise hide from mutations.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t begin = text.find('{');
  if (begin != std::string_view::npos) {
    (void)lockstep::rank::ParseSafetensorsHeader(text.substr(begin), size);
  }
  return 0;
}
