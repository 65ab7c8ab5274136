// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace lockstep::collectives {

/// Which way of writing costs less, by measuring both: the one that cost less when last tried, and
/// the other once in kTryEvery times. Confined to one thread.
class WayOfWriting {
 public:
  enum Way { kThroughCaches, kPastCaches };
  static constexpr int kTryEvery = 64;

  /// How to write the next time.
  Way Next();
  /// What it cost.
  void Record(Way way, size_t bytes, uint64_t ticks);

 private:
  // Whoever reads what went past the caches pays for it: it must be worth that.
  static constexpr double kReadersShare = 2;

  std::array<double, 2> ticks_per_byte_ = {0, 0};  // 0 = not measured yet
  int until_try_ = 0;
};

/// Copies into memory that other members read, in pieces of about the same size. Through the caches
/// they get it fastest, but to write lines that they have read before means to take each away from
/// their core. That costs about 1 ns a line where two ranks share a core, and 20 to 30 ns where they
/// do not; a virtual machine has both by turns. Past the caches it costs 2 to 3 ns everywhere
/// (EPYC, 2 processors). Confined to one thread.
class StageWriter {
 public:
  /// What it writes may be told to others at once.
  void Write(std::byte* to, const std::byte* from, size_t bytes);

 private:
  WayOfWriting way_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_STAGE_WRITER_H_
