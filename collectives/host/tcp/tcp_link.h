// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_LINK_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_LINK_H_

#include <cstdint>
#include <string>

namespace lockstep::collectives {

/// What the way between two members costs, in powers of two: so that noise of a measurement seldom
/// makes another choice of it, and that it fits into a byte of every call (CallEntry::link), by
/// which all members learn all of them. A value, callable from any thread.
class TcpLink {
 public:
  /// Not measured: a data center's Ethernet.
  TcpLink() = default;
  /// The nearest that a byte can say. Both positive.
  static TcpLink Measured(double latency_us, double bytes_per_us);
  static TcpLink FromCode(uint8_t code);

  /// 0 = not measured.
  uint8_t code() const { return code_; }
  bool measured() const { return code_ != 0; }
  /// Of one message, one way.
  double latency_us() const;
  double bytes_per_us() const;

  /// The slower of both in each respect; what was not measured says nothing.
  TcpLink Worse(TcpLink other) const;
  /// "16 us and 1.0 GB/s"; says so when these are only assumed.
  std::string Describe() const;

 private:
  explicit TcpLink(uint8_t code) : code_(code) {}

  uint8_t code_ = 0;  // latency: 2^(high - 1) us; bandwidth: 2^(low - 1) * 8 bytes a us
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_LINK_H_
