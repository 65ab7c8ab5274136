// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_FAULTS_FAULT_TABLE_H_
#define LOCKSTEP_TESTS_FAULTS_FAULT_TABLE_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace lockstep::e2e {

/// What the ranks of a row talk to each other by, and which program they are of.
enum class Backend : uint8_t { kShm, kTcp, kOpenMpi, kMpich, kNccl };
inline constexpr Backend kBackends[] = {Backend::kShm, Backend::kTcp, Backend::kOpenMpi,
                                        Backend::kMpich, Backend::kNccl};
const char* NameOf(Backend backend);

/// When a fault is told, and what follows.
enum class When : uint8_t {
  kAtOnce,   // a verdict, soon, and no notice
  kDead,     // as the root cause of a failure
  kLater,    // a notice, and the verdict at --hang-action-after
  kNoticed,  // a notice; the verdict would come after two minutes
};

struct Fault {
  const char* name;           // of fault.h
  const char* verdict_class;  // "" = whichever
  const char* said;           // of a culprit, in verdict.json or in the notice
  When when;
};

/// A fault that happens to some ranks of a gang.
struct Row {
  Backend backend;
  const Fault* fault;
  int ranks;
  std::vector<int> victims;
  const char* where = "before";
  bool by_default = false;  // of kLater: at the default of --hang-grace

  /// "openmpi_stops_inside_1_2_of_4"
  std::string Name() const;
};
std::ostream& operator<<(std::ostream& out, const Row& row);

/// For each backend each fault once, with victims, places and sizes in turn; with `all` the product
/// of them, but for what makes no sense.
std::vector<Row> Rows(bool all);

}  // namespace lockstep::e2e

#endif  // LOCKSTEP_TESTS_FAULTS_FAULT_TABLE_H_
