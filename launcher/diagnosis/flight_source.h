// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_SOURCE_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/topology/environment.h"

namespace lockstep::launcher {

/// Of a dump; one of 2,000 entries with their stacks has a third of a MiB.
inline constexpr size_t kFlightDumpBytesMax = size_t{16} << 20;

/// A rank of this machine whose torch can be asked for its flight recorder's dump.
struct FlightAsk {
  base::Rank rank;
  topology::FlightFiles files;
};

/// What became of it.
struct FlightAnswer {
  base::Rank rank;
  /// NotFound - there is no such pipe: the rank has made no process group of NCCL's, or its torch
  /// makes none; Unavailable - nobody reads it; FailedPrecondition - it is no pipe, or somebody
  /// else's; DeadlineExceeded - no dump has come; DataLoss - what has come is not whole;
  /// OutOfRange - it is too large; else errno's code.
  base::Status status;
  collectives::FlightDump dump;  // where `status` is OK
  std::string bytes;             // of that, as torch wrote them
};

struct FlightAnswers {
  /// On the wall clock, in nanoseconds: before anybody was asked, so that no dump is of before.
  int64_t asked_ns = 0;
  std::vector<FlightAnswer> ranks;  // in the order in which they were asked
  /// Not OK: whoever asks hangs in a file system, for longer than a question may take, and hears
  /// nobody until that has ended.
  base::Status hangs;
};

/// Asks ranks for what their torch has recorded: by its named pipes in life, a script in tests.
/// Confined to the loop's thread.
class FlightSource {
 public:
  virtual ~FlightSource() = default;

  /// Asks each once. `done` is called once, later, when all have answered or the time for it is
  /// over; not after destruction. One at a time: not to be called before `done` was.
  virtual void Ask(std::vector<FlightAsk> ranks, std::function<void(FlightAnswers)> done) = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_FLIGHT_SOURCE_H_
