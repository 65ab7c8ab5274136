// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_RAS_REPORT_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_RAS_REPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/diagnosis/imports/tree.h"
#include "runtime/base/result.h"

/// What NCCL's RAS answered (`ncclras`, or STATUS on its port): the text of NCCL 2.24 and 2.25,
/// whose counts are of all collectives together, the text from 2.26 on, whose counts are by kind,
/// and the JSON from 2.28.7 on. Plain values.
namespace lockstep::collectives {

/// A rank of a communicator. The text tells of those alone that are unlike most.
struct RasRank {
  int rank = -1;  // in the communicator
  std::string host;
  int64_t pid = 0;  // 0: not told
  int gpu = -1;
  bool is_missing = false;  // it has not answered
  bool is_dead = false;     // RAS has given it up, after a minute without an answer
  int init_state = 0;       // ncclResult_t
  int async_error = 0;
  /// Collectives launched by kind ("AllReduce"), or all together under "collective".
  std::map<std::string, uint64_t> launched;
};

struct RasCommunicator {
  std::string hash;            // of 16 digits
  int size = 0;                // 0: not told
  std::vector<RasRank> ranks;  // by rank
};

struct RasReport {
  std::string nccl_version;
  std::string timestamp;  // "2025-12-19 13:06:53"; "" in texts
  bool is_text = false;
  std::vector<RasCommunicator> communicators;  // in texts: those with something to tell
};

bool IsRasJson(const Tree& tree);
bool IsRasText(std::string_view text);

/// Errors: InvalidArgument - a communicator or rank that is none; OutOfRange - too many of them.
base::Result<RasReport> ReadRasJson(const Tree& tree);
/// Errors: likewise; DataLoss - it ends before it has said anything of communicators.
base::Result<RasReport> ReadRasText(std::string_view text);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_RAS_REPORT_H_
