// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/duration_text.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>

namespace lockstep::proto {
namespace {

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
  bool days;
};

// Largest first, for FormatExactDuration.
constexpr Unit kUnits[] = {
    {"w", 7 * 24 * 3'600'000'000'000, true},
    {"d", 24 * 3'600'000'000'000, true},
    {"h", 3'600'000'000'000, false},
    {"m", 60'000'000'000, false},
    {"s", 1'000'000'000, false},
    {"ms", 1'000'000, false},
    {"us", 1'000, false},
    {"ns", 1, false},
};

// Fits 64 bits of nanoseconds three times over.
constexpr double kMaxNanoseconds = 100.0 * 366 * 24 * 3600 * 1e9;

base::Status Malformed(std::string_view text, std::string_view why, bool with_days) {
  return base::InvalidArgumentError(
      "\"" + std::string(text.substr(0, 40)) + "\" is no duration: " + std::string(why) +
      "; write for example 30s, 1m30s or 500ms" + (with_days ? ", or 7d" : ""));
}

bool IsUnitCharacter(char c) { return c >= 'a' && c <= 'z'; }

}  // namespace

base::Result<base::Duration> ParseDuration(std::string_view text, bool with_days) {
  if (text == "0") return base::Duration(0);
  if (text.empty()) return Malformed(text, "it is empty", with_days);
  double total = 0;
  for (std::string_view rest = text; !rest.empty();) {
    double number = 0;
    const auto [end, error] =
        std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    // from_chars takes "inf" and "nan" for numbers.
    if (error != std::errc() || !(rest[0] == '.' || (rest[0] >= '0' && rest[0] <= '9'))) {
      return Malformed(text, "a number is expected at \"" + std::string(rest.substr(0, 10)) + "\"",
                       with_days);
    }
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    const auto unit_end = std::find_if_not(rest.begin(), rest.end(), IsUnitCharacter);
    const std::string_view name = rest.substr(0, static_cast<size_t>(unit_end - rest.begin()));
    if (name.empty()) return Malformed(text, "the unit is missing", with_days);
    const auto* unit =
        std::find_if(std::begin(kUnits), std::end(kUnits), [&](const Unit& candidate) {
          return candidate.name == name && (with_days || !candidate.days);
        });
    if (unit == std::end(kUnits))
      return Malformed(text, "unknown unit \"" + std::string(name) + "\"", with_days);
    rest.remove_prefix(name.size());
    total += number * static_cast<double>(unit->nanoseconds);
    if (!(total <= kMaxNanoseconds))
      return Malformed(text, "it is longer than 100 years", with_days);
  }
  return base::Duration(static_cast<int64_t>(total + 0.5));
}

std::string FormatExactDuration(base::Duration duration) {
  int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string text = rest < 0 ? "-" : "";
  if (rest < 0) rest = -rest;
  for (const Unit& unit : kUnits) {
    if (unit.days || rest < unit.nanoseconds) continue;
    text += std::to_string(rest / unit.nanoseconds);
    text += unit.name;
    rest %= unit.nanoseconds;
  }
  return text;
}

base::Duration FromProto(const google::protobuf::Duration& duration) {
  return std::chrono::seconds(duration.seconds()) + std::chrono::nanoseconds(duration.nanos());
}

google::protobuf::Duration ToProto(base::Duration duration) {
  google::protobuf::Duration result;
  result.set_seconds(duration.count() / 1'000'000'000);
  result.set_nanos(static_cast<int32_t>(duration.count() % 1'000'000'000));
  return result;
}

}  // namespace lockstep::proto
