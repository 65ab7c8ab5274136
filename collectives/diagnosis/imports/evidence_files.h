// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_EVIDENCE_FILES_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_EVIDENCE_FILES_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/diagnosis/imports/flight_dump.h"
#include "collectives/diagnosis/imports/imported.h"
#include "collectives/diagnosis/imports/ras_report.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

inline constexpr size_t kEvidenceFileBytesMax = size_t{64} << 20;

/// Files that other tools have left, recognised by what is in them: dumps of PyTorch's flight
/// recorder, one of each rank, or reports of NCCL's RAS. Whoever diagnoses makes one, adds the
/// files one after the other, and takes the evidence. Confined to one thread.
class EvidenceFiles {
 public:
  /// Errors, all with the path: InvalidArgument - it is nothing that is known (the message says
  /// what it looks like and what is), damaged, or wants to run code; AlreadyExists - another file
  /// was of the same rank, in the same form; OutOfRange - a limit; FailedPrecondition - dumps and
  /// reports together.
  base::Status Add(const std::string& path, std::string_view bytes);

  /// A line for each file: which it was, and what was found in it.
  const std::vector<std::string>& lines() const { return lines_; }

  /// Errors: FailedPrecondition - there is nothing in the files that tells anything;
  /// InvalidArgument - they do not belong together.
  base::Result<ImportedEvidence> Take();

 private:
  struct Dump {
    std::string path;
    bool has_stacks = false;  // a pickle
  };

  base::Status AddDump(const std::string& path, FlightDump dump, bool is_pickle);
  base::Status AddReport(const std::string& path, RasReport report);
  base::Status AddTree(const std::string& path, const Tree& tree, bool is_pickle);

  std::map<base::Rank, FlightDump> dumps_;
  std::map<base::Rank, Dump> files_;
  std::vector<RasReport> reports_;
  std::vector<std::string> lines_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_EVIDENCE_FILES_H_
