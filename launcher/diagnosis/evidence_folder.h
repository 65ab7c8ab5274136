// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_EVIDENCE_FOLDER_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_EVIDENCE_FOLDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "collectives/diagnosis/finding.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/storage/file_system.h"

/// Evidence on disk, so that what was found can be looked at again when nothing of the gang is
/// left:
///
///   <round's folder>/evidence/processes.json   GangProcesses
///                             rank-<r>.ring    as its memory was, without the slots never used
///                             rank-<r>.flight  what torch's flight recorder has dumped when the
///                                              rank, which has no ring, was asked for it
///                             stacks-rank-<r>  of those to blame: stacks/saved_stacks.h
namespace lockstep::launcher {

struct EvidenceFacts {
  std::string job;
  base::Round round;
  std::string host;
  uint64_t monotonic_ns = 0;  // when the rings were read
  base::Duration grace{0};    // spec.hangs.grace, as it was then; 0: not known
};

inline constexpr const char* kEvidenceFolder = "evidence";

/// What ranks have answered that were asked for torch's flight recorder.
struct AskedFlights {
  int64_t asked_ns = 0;  // on the wall clock, before all of them
  /// As torch wrote them. Immutable, and many MiB: shared by who judges and who writes them down.
  std::map<base::Rank, std::shared_ptr<const std::string>> dumps;
  std::vector<base::Rank> left_out;  // in order: KeepWithin()
};

/// Of all dumps of a node that are kept; one may have kFlightDumpBytesMax.
inline constexpr size_t kFlightsBytesMax = size_t{64} << 20;

/// Leaves dumps out for which there is no room in `bytes_max`: those of `first` have it before all
/// others, in that order; then by rank.
void KeepWithin(size_t bytes_max, const std::vector<base::Rank>& first, AskedFlights& flights);
/// Whose dumps were left out, in words; "" = nobody's.
std::string LeftOutText(const std::vector<base::Rank>& ranks);

/// All of it but the dumps themselves, of which it says whose are kept. Errors: errno's code; a
/// part may be there then.
base::Status SaveEvidence(const std::string& folder, const EvidenceFacts& facts,
                          const collectives::Evidence& evidence,
                          const std::map<base::Rank, std::span<const std::byte>>& rings,
                          const AskedFlights& flights, storage::FileSystem& files);
/// The dumps, after that: many MiB. Any thread. Errors: errno's code; some may be there.
base::Status SaveFlights(const std::string& folder, const AskedFlights& flights,
                         storage::FileSystem& files);

struct SavedEvidence {
  EvidenceFacts facts;
  collectives::Evidence evidence;
  /// No finding from this is surer.
  collectives::Finding::Confidence confidence_max = collectives::Finding::Confidence::kHigh;
};
/// Whatever is in the folder: rings and dumps that are missing or damaged are those of ranks of
/// which too little is known. Errors: NotFound - no processes.json; DataLoss - it is none.
base::Result<SavedEvidence> LoadEvidence(const std::string& folder, storage::FileSystem& files);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_EVIDENCE_FOLDER_H_
