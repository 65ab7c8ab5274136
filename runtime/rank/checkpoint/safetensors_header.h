// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_CHECKPOINT_SAFETENSORS_HEADER_H_
#define LOCKSTEP_RUNTIME_RANK_CHECKPOINT_SAFETENSORS_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/types.h"
#include "runtime/base/result.h"

namespace lockstep::rank {

/// The JSON header of a safetensors file.
/// Source: the format's description in huggingface/safetensors, README.md.
struct SafetensorsHeader {
  struct Entry {
    std::string name;
    collectives::Dtype dtype = collectives::Dtype::kF32;
    std::vector<int64_t> shape;
    uint64_t begin = 0;  // bytes from the start of the data
    uint64_t end = 0;
  };
  std::map<std::string, std::string> metadata;
  std::vector<Entry> entries;
};

/// Longer headers are refused, as the format's own library does.
inline constexpr uint64_t kSafetensorsHeaderBytesMax = 100'000'000;

/// bytes = elements * element size. OutOfRange - a negative extent, or more than 2^63 - 1 bytes.
base::Result<uint64_t> TensorBytes(collectives::Dtype dtype, const std::vector<int64_t>& shape);

std::string FormatSafetensorsHeader(const SafetensorsHeader& header);

/// The entries come sorted by offset and cover [0, data_bytes) without holes or overlaps.
/// Errors: DataLoss - not such a header: what is wrong, and at which byte of `text` where that
/// helps; Unimplemented - an unknown dtype.
base::Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view text, uint64_t data_bytes);

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_CHECKPOINT_SAFETENSORS_HEADER_H_
