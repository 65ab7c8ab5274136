// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes as a report of NCCL's RAS, in either form: ranks are of their communicators.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/imports/json_tree.h"
#include "collectives/diagnosis/imports/ras_evidence.h"
#include "runtime/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lockstep;
  using namespace lockstep::collectives;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto tree = ReadJson(bytes);
  const auto report = tree.ok() ? ReadRasJson(**tree) : ReadRasText(bytes);
  if (!report.ok()) return 0;
  for (const RasCommunicator& communicator : report->communicators) {
    for (const RasRank& rank : communicator.ranks) {
      LOCKSTEP_CHECK(rank.rank >= 0 && (communicator.size == 0 || rank.rank < communicator.size),
                     "a rank of its communicator");
    }
  }
  const auto imported = FromRasReports({*report, *report});
  if (imported.ok()) {
    (void)Diagnose(imported->evidence,
                   {.least_wait = base::Duration(0), .grace = base::Duration(0)});
  }
  return 0;
}
