// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_PROBLEM_H_
#define LOCKSTEP_RUNTIME_PROTO_PROBLEM_H_

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"

namespace lockstep::proto {

/// One thing that is wrong with a job spec. Checks collect all of them, so that a user mends a file
/// in one go.
struct Problem {
  std::string path;   // of the field, as --set takes it: "spec.gang.totalProcesses"; "" = the whole
  std::string value;  // as it was given, shortened; "" = none, or not to be shown
  std::string what;   // which limit it breaks and what to do: "must be 1 to 65536"
  int line = 0;       // in the file; 0 = it came from elsewhere
  std::string source;  // "job.yaml", "flag -np", "environment PET_NNODES"; "" = unknown

  /// "job.yaml:7: spec.gang.totalProcesses: 0 must be 1 to 65536".
  std::string ToString() const;
};

/// OK when there are none; else InvalidArgument with one problem a line, the first 50 of them.
base::Status ProblemsToStatus(const std::vector<Problem>& problems);

/// At most 60 bytes of `value` on one line, in quotes when it is not one plain word.
std::string ShortValue(std::string_view value);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_PROBLEM_H_
