// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes as the dumps of two ranks: no crash, and a finding that names ranks of the job.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/imports/evidence_files.h"
#include "runtime/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lockstep;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  collectives::EvidenceFiles files;
  // The same of both, but for what is cut off the second.
  const bool first = files.Add("rank_0", bytes).ok();
  const bool second = files.Add("rank_1", bytes.substr(0, size - size / 8)).ok();
  if (!first && !second) return 0;
  const auto imported = files.Take();
  if (!imported.ok()) return 0;
  const auto finding = collectives::Diagnose(
      imported->evidence, {.least_wait = base::Duration(0), .grace = base::Duration(0)});
  for (const auto& culprit : finding.culprits) {
    LOCKSTEP_CHECK(culprit.rank.value() >= 0 &&
                       static_cast<size_t>(culprit.rank.value()) < imported->evidence.ranks.size(),
                   "a rank of the job");
  }
  return 0;
}
