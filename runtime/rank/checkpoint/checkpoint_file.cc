// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/checkpoint_file.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <set>
#include <utility>

#include "runtime/rank/checkpoint/crc32c.h"
#include "runtime/rank/checkpoint/safetensors_header.h"

namespace lockstep::rank {
namespace {

using base::DataLossError;
using base::InvalidArgumentError;
using base::OkStatus;
using base::Result;
using base::Status;
using collectives::Dtype;

static_assert(std::endian::native == std::endian::little, "the format is; this code copies words");

constexpr std::string_view kChecksums = "lockstep.crc32c";
constexpr size_t kLengthBytes = sizeof(uint64_t);
constexpr size_t kDataAlignment = 4096;

std::span<const std::byte> AsBytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string Hex(uint32_t crc) {
  char text[9];
  std::snprintf(text, sizeof(text), "%08x", crc);
  return text;
}

/// The eight length bytes and the padded JSON.
std::string FormatHeader(const SafetensorsHeader& header) {
  const std::string json = FormatSafetensorsHeader(header);
  const size_t end =
      (kLengthBytes + json.size() + kDataAlignment - 1) / kDataAlignment * kDataAlignment;
  const uint64_t length = end - kLengthBytes;
  std::string out(end, ' ');
  std::memcpy(out.data(), &length, kLengthBytes);
  std::memcpy(out.data() + kLengthBytes, json.data(), json.size());
  return out;
}

Status CheckTensors(const std::vector<TensorView>& tensors) {
  std::set<std::string_view> names = {"", "__metadata__", kChecksums};
  for (const TensorView& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return InvalidArgumentError("a checkpoint cannot hold the tensor '" + tensor.name +
                                  "': the name is empty, reserved or already taken");
    }
    ASSIGN_OR_RETURN(const uint64_t bytes, TensorBytes(tensor.dtype, tensor.shape));
    if (bytes != tensor.bytes.size()) {
      return InvalidArgumentError("tensor '" + tensor.name + "' has " +
                                  std::to_string(tensor.bytes.size()) +
                                  " bytes; its dtype and shape say " + std::to_string(bytes));
    }
  }
  return OkStatus();
}

SafetensorsHeader MakeHeader(const CheckpointMetadata& metadata,
                             const std::vector<TensorView>& tensors) {
  SafetensorsHeader header{metadata, {}};
  uint64_t end = 0;
  const auto add = [&](std::string_view name, Dtype dtype, std::vector<int64_t> shape,
                       uint64_t bytes) {
    header.entries.push_back({std::string(name), dtype, std::move(shape), end, end + bytes});
    end += bytes;
  };
  for (const TensorView& tensor : tensors) {
    add(tensor.name, tensor.dtype, tensor.shape, tensor.bytes.size());
  }
  const uint64_t checksum_bytes = (tensors.size() + 1) * sizeof(uint32_t);
  add(kChecksums, Dtype::kU8, {static_cast<int64_t>(checksum_bytes)}, checksum_bytes);
  return header;
}

Result<uint64_t> HeaderBytes(std::span<const std::byte> file) {
  uint64_t length = 0;
  if (file.size() < kLengthBytes) {
    return DataLossError("the file ends after " + std::to_string(file.size()) +
                         " bytes, within its header's length");
  }
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kSafetensorsHeaderBytesMax || length > file.size() - kLengthBytes) {
    return DataLossError("the file has " + std::to_string(file.size()) +
                         " bytes and names a header of " + std::to_string(length));
  }
  return kLengthBytes + length;
}

Status CheckCrc(const std::string& what, std::span<const std::byte> bytes,
                const std::byte* expected_at) {
  uint32_t expected;
  std::memcpy(&expected, expected_at, sizeof(expected));
  const uint32_t actual = Crc32c(bytes);
  if (actual == expected) return OkStatus();
  return DataLossError(what + " is damaged: its CRC32C is " + Hex(actual) + ", " + Hex(expected) +
                       " was stored");
}

}  // namespace

Result<CheckpointFile> CheckpointFile::Parse(std::vector<std::byte> bytes) {
  CheckpointFile file;
  file.bytes_ = std::move(bytes);
  const std::span<const std::byte> all(file.bytes_);
  ASSIGN_OR_RETURN(const uint64_t header_bytes, HeaderBytes(all));
  const auto header_span = all.first(header_bytes);
  const auto data = all.subspan(header_bytes);
  const std::string_view json(reinterpret_cast<const char*>(header_span.data()) + kLengthBytes,
                              header_bytes - kLengthBytes);
  ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(json, data.size()));

  if (header.entries.empty() || header.entries.back().name != kChecksums ||
      header.entries.back().end - header.entries.back().begin !=
          header.entries.size() * sizeof(uint32_t)) {
    return DataLossError("the last tensor is not '" + std::string(kChecksums) + "' with " +
                         std::to_string(header.entries.size()) + " checksums");
  }
  const std::byte* checksum = data.data() + header.entries.back().begin;
  header.entries.pop_back();
  RETURN_IF_ERROR(CheckCrc("the header", header_span, checksum));
  for (SafetensorsHeader::Entry& entry : header.entries) {
    const auto tensor_bytes = data.subspan(entry.begin, entry.end - entry.begin);
    checksum += sizeof(uint32_t);
    RETURN_IF_ERROR(CheckCrc("tensor '" + entry.name + "'", tensor_bytes, checksum));
    file.tensors_.push_back(
        {std::move(entry.name), entry.dtype, std::move(entry.shape), tensor_bytes});
  }
  file.metadata_ = std::move(header.metadata);
  return file;
}

const TensorView* CheckpointFile::Find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [name](const TensorView& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

Status WriteCheckpointFile(storage::FileSystem& files, const std::string& path,
                           const CheckpointMetadata& metadata, std::vector<TensorView> tensors) {
  RETURN_IF_ERROR(CheckTensors(tensors).WithFrame("while writing " + path));
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    return collectives::DtypeBytes(a.dtype) > collectives::DtypeBytes(b.dtype);
  });
  // Empty tensors come first, where no other begins at their place: so readers sort them as we do.
  std::stable_partition(tensors.begin(), tensors.end(),
                        [](const TensorView& tensor) { return tensor.bytes.empty(); });

  const std::string header = FormatHeader(MakeHeader(metadata, tensors));
  if (header.size() > kSafetensorsHeaderBytesMax) {
    return InvalidArgumentError("the header of " + path + " would take " +
                                std::to_string(header.size()) + " bytes; the limit is " +
                                std::to_string(kSafetensorsHeaderBytesMax));
  }
  std::vector<std::span<const std::byte>> parts = {AsBytes(header)};
  for (const TensorView& tensor : tensors) parts.push_back(tensor.bytes);
  std::vector<uint32_t> checksums;
  for (const auto& part : parts) checksums.push_back(Crc32c(part));
  parts.push_back(std::as_bytes(std::span(checksums)));
  return files.WriteFile(path, parts, {.is_durable = true});
}

}  // namespace lockstep::rank
