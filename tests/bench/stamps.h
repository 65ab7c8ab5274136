// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_BENCH_STAMPS_H_
#define LOCKSTEP_TESTS_BENCH_STAMPS_H_

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/unique_fd.h"
#include "tests/bench/rank_program.h"

namespace lockstep::bench {

/// A FIFO into which ranks of rank_program write when they began to run. The ranks take the time
/// themselves, so it does not matter when we get to read it.
class Stamps {
 public:
  /// Makes the FIFO in `folder`; one at a time. Aborts when it cannot.
  explicit Stamps(const std::string& folder);
  ~Stamps();
  Stamps(const Stamps&) = delete;
  Stamps& operator=(const Stamps&) = delete;

  const std::string& path() const { return path_; }
  /// The next `count` stamps, in the order of their coming; nothing when they have not come by
  /// then.
  std::optional<std::vector<BenchStamp>> Read(size_t count, base::Duration at_most);

 private:
  const std::string path_;
  base::UniqueFd fifo_;
};

}  // namespace lockstep::bench

#endif  // LOCKSTEP_TESTS_BENCH_STAMPS_H_
