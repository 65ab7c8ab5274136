// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/tcp_counters.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string_view>

namespace lockstep::process {
namespace {

constexpr size_t kTextMax = size_t{64} << 10;  // they have some 1,500 and 4,000 bytes

/// Of each protocol there is a line of names, and one of as many values.
std::optional<uint64_t> Find(const std::string& text, std::string_view protocol,
                             std::string_view name) {
  std::istringstream lines(text);
  std::string names_line, values_line;
  while (std::getline(lines, names_line) && std::getline(lines, values_line)) {
    if (!names_line.starts_with(protocol) || !values_line.starts_with(protocol)) continue;
    std::istringstream names(names_line.substr(protocol.size()));
    std::istringstream values(values_line.substr(protocol.size()));
    std::string at;
    int64_t value = 0;  // some are negative
    while (names >> at && values >> value) {
      if (at == name && value >= 0) return static_cast<uint64_t>(value);
    }
  }
  return std::nullopt;
}

std::string ReadText(const char* path) {
  std::ifstream file(path);
  std::string text(kTextMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

}  // namespace

std::optional<TcpCounters> ParseTcpCounters(const std::string& snmp, const std::string& netstat) {
  const auto sent = Find(snmp, "Tcp:", "OutSegs");
  const auto resent = Find(snmp, "Tcp:", "RetransSegs");
  if (!sent.has_value() || !resent.has_value()) return std::nullopt;
  const uint64_t first_syns = Find(netstat, "TcpExt:", "TCPSynRetrans").value_or(0);
  return TcpCounters{.sent = *sent, .resent = *resent - std::min(*resent, first_syns)};
}

TcpCounters ReadTcpCounters() {
  return ParseTcpCounters(ReadText("/proc/self/net/snmp"), ReadText("/proc/self/net/netstat"))
      .value_or(TcpCounters());
}

}  // namespace lockstep::process
