// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/base/check.h"
#include "runtime/proto/job_checks.h"
#include "runtime/proto/job_yaml.h"

// Any bytes end in problems or in a job; a job without problems comes out as YAML that reads back
// as the same job.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lockstep::proto::TrainingJob;
  TrainingJob job;
  const auto report =
      lockstep::proto::ReadJobYaml({reinterpret_cast<const char*>(data), size}, &job);
  lockstep::proto::ApplyDefaults(&job);
  const bool valid = lockstep::proto::Validate(job).empty();
  if (!report.problems.empty() || !valid) return 0;
  TrainingJob again;
  const auto again_report =
      lockstep::proto::ReadJobYaml(lockstep::proto::FormatJobYaml(job), &again);
  LOCKSTEP_CHECK(again_report.problems.empty(), "what we wrote can be read");
  LOCKSTEP_CHECK(lockstep::proto::FormatJobYaml(again) == lockstep::proto::FormatJobYaml(job),
                 "and is the same job");
  return 0;
}
