// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/port_range_text.h"

#include <charconv>
#include <optional>

namespace lockstep::proto {
namespace {

constexpr int kPortMax = 65535;

std::optional<int> ParsePort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && port >= 1 && port <= kPortMax ? std::optional(port) : std::nullopt;
}

}  // namespace

base::Result<PortSpan> ParsePortSpan(std::string_view text) {
  if (text.empty()) return PortSpan{};
  const size_t dash = text.find('-');
  const std::optional<int> first = ParsePort(text.substr(0, dash));
  const std::optional<int> last = dash == text.npos ? first : ParsePort(text.substr(dash + 1));
  if (!first || !last || *last < *first) {
    return base::InvalidArgumentError(
        "must be ports from 1 to 65535, the lower one first, as 29400-29499");
  }
  return PortSpan{*first, *last};
}

}  // namespace lockstep::proto
