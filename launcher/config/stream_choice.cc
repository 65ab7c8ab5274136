// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/stream_choice.h"

#include <algorithm>
#include <cstddef>

namespace lockstep::launcher {
namespace {

constexpr size_t kRankDigitsMax = 5;

/// "0" to "3"; null: none of them.
const char* StreamsOf(std::string_view digit) {
  static constexpr const char* kTexts[] = {"None", "Stdout", "Stderr", "Both"};
  return digit.size() == 1 && digit[0] >= '0' && digit[0] <= '3' ? kTexts[digit[0] - '0'] : nullptr;
}

bool IsRank(std::string_view text) {
  return !text.empty() && text.size() <= kRankDigitsMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::string> StreamChoiceOf(std::string_view text) {
  if (const char* all = StreamsOf(text)) {
    return std::string("{everyRank: ") + all + ", ranks: {}}";
  }
  std::string ranks;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view entry = rest.substr(0, rest.find(','));
    const size_t colon = std::min(entry.find(':'), entry.size());
    const std::string_view rank = entry.substr(0, colon);
    const char* streams = colon < entry.size() ? StreamsOf(entry.substr(colon + 1)) : nullptr;
    if (streams == nullptr || !IsRank(rank)) return std::nullopt;
    ranks.append(ranks.empty() ? "" : ", ").append(rank).append(": ").append(streams);
    rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
  }
  if (ranks.empty()) return std::nullopt;
  return "{everyRank: None, ranks: {" + ranks + "}}";
}

}  // namespace lockstep::launcher
