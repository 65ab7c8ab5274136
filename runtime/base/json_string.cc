// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/json_string.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace lockstep::base {
namespace {

/// Bytes of the character that `text` begins with; 0 when it begins with none (RFC 3629).
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || beyond ? 0 : size;
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  out->push_back('"');
  while (!text.empty()) {
    const size_t size = CharacterBytes(text);
    const char c = text.front();
    if (size == 0) {
      out->append(kReplacement);
    } else if (c == '"' || c == '\\') {
      out->append({'\\', c});
    } else if (c == '\n') {
      out->append("\\n");
    } else if (size == 1 && (c < 0x20 || c == 0x7f)) {
      out->append({'\\', 'u', '0', '0', kHex[static_cast<size_t>(c) >> 4], kHex[c & 0xf]});
    } else {
      out->append(text.substr(0, size));
    }
    text.remove_prefix(std::max(size, size_t{1}));
  }
  out->push_back('"');
}

}  // namespace lockstep::base
