// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/tcp_counters.h"

#include <array>
#include <fstream>
#include <sstream>
#include <string_view>

namespace lockstep::process {
namespace {

constexpr size_t kTextMax = size_t{64} << 10;  // it has some 1,500 bytes

}  // namespace

/// Of each protocol there is a line of names, and one of as many values.
std::optional<TcpCounters> ParseTcpCounters(const std::string& snmp) {
  std::istringstream text(snmp);
  std::string names_line, values_line;
  while (std::getline(text, names_line) && std::getline(text, values_line)) {
    if (!names_line.starts_with("Tcp:") || !values_line.starts_with("Tcp:")) continue;
    std::istringstream names(names_line.substr(4)), values(values_line.substr(4));
    std::optional<uint64_t> sent, resent;
    std::string name;
    int64_t value = 0;  // some that are not asked for are negative
    while (names >> name && values >> value) {
      if (value < 0) continue;
      if (name == "OutSegs") sent = static_cast<uint64_t>(value);
      if (name == "RetransSegs") resent = static_cast<uint64_t>(value);
    }
    if (sent.has_value() && resent.has_value())
      return TcpCounters{.sent = *sent, .resent = *resent};
  }
  return std::nullopt;
}

TcpCounters ReadTcpCounters() {
  std::ifstream file("/proc/self/net/snmp");
  std::string text(kTextMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return ParseTcpCounters(text).value_or(TcpCounters());
}

}  // namespace lockstep::process
