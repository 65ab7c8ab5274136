// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/link_text.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace lockstep::proto {
namespace {

/// All of `text`, in positive decimals; else 0.
double PositiveNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value > 0 && value < 1e9 ? value : 0;
}

}  // namespace

base::Result<LinkFigures> ParseLinkFigures(std::string_view text) {
  const size_t comma = std::min(text.find(','), text.size());
  const double latency_us = PositiveNumber(text.substr(0, comma));
  const double gigabytes = PositiveNumber(text.substr(std::min(comma + 1, text.size())));
  if (latency_us > 0 && gigabytes > 0) return LinkFigures{latency_us, 1000 * gigabytes};
  return base::InvalidArgumentError("must be microseconds and GB a second, as in 20,5");
}

}  // namespace lockstep::proto
