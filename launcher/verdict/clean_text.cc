// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/clean_text.h"

#include <algorithm>
#include <cstdint>

namespace lockstep::launcher {

namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 0;  // 0: no UTF-8
};

CodePoint Decode(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {};
  uint32_t value = first & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(i) & 0x3fu);
  }
  const bool overlong = (bytes == 3 && value < 0x800) || (bytes == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return {};
  return {value, bytes};
}

bool DrivesTheTerminal(uint32_t value) {
  if (value < 0x20 || (value >= 0x7f && value < 0xa0)) return true;
  // Marks that reorder the text around them.
  return value == 0x200e || value == 0x200f || (value >= 0x202a && value <= 0x202e) ||
         (value >= 0x2066 && value <= 0x2069);
}

bool StartsCodePoint(char byte) { return (static_cast<uint8_t>(byte) & 0xc0) != 0x80; }

/// Bytes of the first `columns` code points.
size_t BytesOfColumns(std::string_view clean, size_t columns) {
  size_t seen = 0;
  for (size_t i = 0; i < clean.size(); ++i) {
    if (StartsCodePoint(clean[i]) && seen++ == columns) return i;
  }
  return clean.size();
}

}  // namespace

std::string CleanText(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    if (text[0] == '\n') {
      clean += '\n';
    } else if (text[0] == '\t') {
      clean += ' ';
    } else if (point.bytes == 0 || DrivesTheTerminal(point.value)) {
      clean += '?';
    } else {
      clean += text.substr(0, point.bytes);
    }
    text.remove_prefix(std::max<size_t>(point.bytes, 1));
  }
  return clean;
}

size_t ColumnsOf(std::string_view clean) {
  return static_cast<size_t>(std::count_if(clean.begin(), clean.end(), StartsCodePoint));
}

std::string ClipLine(std::string_view clean, size_t columns) {
  std::string line(clean);
  std::replace(line.begin(), line.end(), '\n', ' ');
  if (ColumnsOf(line) <= columns) return line;
  constexpr std::string_view kMissing = "...";
  if (columns <= kMissing.size()) return line.substr(0, BytesOfColumns(line, columns));
  return line.substr(0, BytesOfColumns(line, columns - kMissing.size())) + std::string(kMissing);
}

std::vector<std::string> WrapLine(std::string_view clean, size_t columns, size_t lines) {
  std::vector<std::string> wrapped;
  while (wrapped.size() + 1 < lines && ColumnsOf(clean) > columns) {
    const size_t limit = BytesOfColumns(clean, columns);
    const size_t space = clean.rfind(' ', limit);
    const size_t end = space == std::string_view::npos || space == 0 ? limit : space;
    wrapped.push_back(ClipLine(clean.substr(0, end), columns));
    clean.remove_prefix(end);
    while (!clean.empty() && clean[0] == ' ') clean.remove_prefix(1);
  }
  if (!clean.empty() || wrapped.empty()) wrapped.push_back(ClipLine(clean, columns));
  return wrapped;
}

std::vector<std::string> LinesOf(std::string_view clean) {
  std::vector<std::string> lines;
  while (!clean.empty()) {
    const size_t end = std::min(clean.find('\n'), clean.size());
    if (end > 0) lines.emplace_back(clean.substr(0, end));
    clean.remove_prefix(std::min(end + 1, clean.size()));
  }
  return lines;
}

}  // namespace lockstep::launcher
