// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/rdzv_conf.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "runtime/proto/problem.h"

namespace lockstep::launcher {
namespace {

std::string_view Trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// torchrun's words for a switch, in any case.
std::optional<bool> ReadSwitch(std::string_view text) {
  constexpr std::array<std::string_view, 5> kOn = {"1", "true", "t", "yes", "y"};
  constexpr std::array<std::string_view, 5> kOff = {"0", "false", "f", "no", "n"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (std::find(kOn.begin(), kOn.end(), lower) != kOn.end()) return true;
  if (std::find(kOff.begin(), kOff.end(), lower) != kOff.end()) return false;
  return std::nullopt;
}

base::Status ReadEntry(std::string_view entry, RdzvConf* conf) {
  const size_t equals = entry.find('=');
  const std::string_view key = Trimmed(entry.substr(0, equals));
  if (equals == std::string_view::npos || key.empty()) {
    return base::InvalidArgumentError(proto::ShortValue(entry) +
                                      " is no KEY=VALUE, as in join_timeout=600,is_host=1");
  }
  const std::string_view value = Trimmed(entry.substr(equals + 1));
  if (key == "join_timeout") {
    conf->join_timeout = value;
  } else if (key == "is_host") {
    conf->is_host = ReadSwitch(value);
    if (!conf->is_host) {
      return base::InvalidArgumentError("is_host: " + proto::ShortValue(value) +
                                        " is neither 1 nor 0");
    }
  } else if (std::find(conf->others.begin(), conf->others.end(), key) == conf->others.end()) {
    conf->others.emplace_back(key);
  }
  return base::OkStatus();
}

}  // namespace

base::Result<RdzvConf> ParseRdzvConf(std::string_view text) {
  RdzvConf conf;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view entry = Trimmed(text.substr(0, comma));
    // torchrun forgives a comma too many.
    if (!entry.empty()) RETURN_IF_ERROR(ReadEntry(entry, &conf));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return conf;
}

}  // namespace lockstep::launcher
