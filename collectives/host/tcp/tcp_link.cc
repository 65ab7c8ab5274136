// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_link.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace lockstep::collectives {
namespace {

constexpr double kLeastBytesPerUs = 8;
constexpr double kAssumedLatencyUs = 32;
constexpr double kAssumedBytesPerUs = 1024;

constexpr int kClassMax = 15;
constexpr double kHalfStep = 1.41421356;  // between two powers of two

// (std::log2 cannot be linked statically with glibc 2.36.)
int ClassOf(double value) {
  int number = 1;
  while (number < kClassMax && value > kHalfStep) {
    value /= 2;
    ++number;
  }
  return number;
}

}  // namespace

TcpLink TcpLink::Measured(double latency_us, double bytes_per_us) {
  return TcpLink(
      static_cast<uint8_t>(ClassOf(latency_us) << 4 | ClassOf(bytes_per_us / kLeastBytesPerUs)));
}

TcpLink TcpLink::FromCode(uint8_t code) {
  return (code & 15) == 0 || code >> 4 == 0 ? TcpLink() : TcpLink(code);
}

double TcpLink::latency_us() const {
  return measured() ? std::ldexp(1.0, (code_ >> 4) - 1) : kAssumedLatencyUs;
}

double TcpLink::bytes_per_us() const {
  return measured() ? std::ldexp(kLeastBytesPerUs, (code_ & 15) - 1) : kAssumedBytesPerUs;
}

TcpLink TcpLink::Worse(TcpLink other) const {
  if (!measured() || !other.measured()) return measured() ? *this : other;
  const int latency = std::max(code_ >> 4, other.code_ >> 4);
  const int bandwidth = std::min(code_ & 15, other.code_ & 15);
  return TcpLink(static_cast<uint8_t>(latency << 4 | bandwidth));
}

std::string TcpLink::Describe() const {
  char text[80];
  std::snprintf(text, sizeof text, "%.0f us and %.3g GB/s%s", latency_us(), bytes_per_us() / 1000,
                measured() ? "" : ", assumed");
  return text;
}

}  // namespace lockstep::collectives
