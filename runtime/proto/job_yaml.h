// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_JOB_YAML_H_
#define LOCKSTEP_RUNTIME_PROTO_JOB_YAML_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/proto/job.pb.h"
#include "runtime/proto/problem.h"

/// The text form of a TrainingJob, one walk over protobuf's descriptors for all of its messages.
/// Pure functions.
namespace lockstep::proto {

/// What came of reading text into a job.
struct ReadReport {
  std::vector<Problem> problems;   // all of them; what had none is in the job
  std::vector<std::string> notes;  // what was accepted and has no effect here
  std::vector<std::string> paths;  // of the fields that were set; a list counts as one field
};

/// Reads a job file (YAML, of which JSON is a part) over what `job` holds: fields that the file
/// names are replaced, the others stay. Whatever the bytes, it ends within a second and 100 MB
/// (YamlTree's limits).
ReadReport ReadJobYaml(std::string_view text, TrainingJob* job);

/// Sets one field, as --set does: SetJobField("spec.program.args", "[\"--lr\", \"0.2\"]", &job). A
/// scalar is taken as it is, a list or message is read as YAML or JSON and replaces the old one. An
/// entry of a map has its key at the end of the path: "metadata.labels.team".
ReadReport SetJobField(std::string_view path, std::string_view text, TrainingJob* job);

/// The job as YAML that ReadJobYaml reads back to an equal job. Secrets are written as they are:
/// see RedactedCopy. `comment`, when given, is asked for the end of each field's line.
std::string FormatJobYaml(
    const TrainingJob& job,
    const std::function<std::string(const std::string& path)>& comment = nullptr);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_JOB_YAML_H_
