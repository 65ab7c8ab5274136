// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_EVIDENCE_FOLDER_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_EVIDENCE_FOLDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "collectives/diagnosis/evidence.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/storage/file_system.h"

/// Evidence on disk, so that what was found can be looked at again when nothing of the gang is
/// left:
///
///   <round's folder>/evidence/processes.json   GangProcesses
///                             rank-<r>.ring    as its memory was, without the slots never used
///                             stacks-rank-<r>  of those to blame: stacks/saved_stacks.h
namespace lockstep::launcher {

struct EvidenceFacts {
  std::string job;
  base::Round round;
  std::string host;
  uint64_t monotonic_ns = 0;  // when the rings were read
};

inline constexpr const char* kEvidenceFolder = "evidence";

/// Of each rank that has a ring, the ring. Errors: errno's code; a part may be there then.
base::Status SaveEvidence(const std::string& folder, const EvidenceFacts& facts,
                          const collectives::Evidence& evidence,
                          const std::map<base::Rank, std::span<const std::byte>>& rings,
                          storage::FileSystem& files);

struct SavedEvidence {
  EvidenceFacts facts;
  collectives::Evidence evidence;
};
/// Whatever is in the folder: rings that are missing or damaged are those of ranks of which too
/// little is known. Errors: NotFound - no processes.json; DataLoss - it is none.
base::Result<SavedEvidence> LoadEvidence(const std::string& folder, storage::FileSystem& files);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_EVIDENCE_FOLDER_H_
