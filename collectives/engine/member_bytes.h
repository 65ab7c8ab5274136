// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_MEMBER_BYTES_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_MEMBER_BYTES_H_

/// Pieces of what members tell each other as bytes, little endian, and of the distrust with which
/// those are read: the sender is a member of the job, and may still be broken. Functions without
/// state: callable from any thread.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "collectives/types.h"

namespace lockstep::collectives {

static_assert(std::endian::native == std::endian::little, "numbers go over the wire as they lie");

template <class T>
void AppendBytes(std::vector<std::byte>& out, const T& value) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

/// Takes a T from the front; false when there is none.
template <class T>
bool TakeBytes(std::span<const std::byte>& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes = bytes.subspan(sizeof value);
  return true;
}

/// It goes to a terminal: printable, and no longer than its field.
inline std::string PrintableText(const char* text, size_t capacity) {
  std::string result(text, strnlen(text, capacity));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return result;
}

/// Whether this release has such ops.
inline bool KnownCall(uint8_t kind, uint8_t dtype, uint8_t reduction) {
  return kind < kOpKindLimit && dtype < kDtypeLimit && reduction < kReductionLimit;
}

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_MEMBER_BYTES_H_
