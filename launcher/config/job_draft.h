// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_JOB_DRAFT_H_
#define LOCKSTEP_LAUNCHER_CONFIG_JOB_DRAFT_H_

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/proto/job.pb.h"
#include "runtime/proto/job_yaml.h"
#include "runtime/proto/problem.h"

namespace lockstep::launcher {

/// Field to where it comes from: "flag -np"; absent = built-in.
using FieldSources = std::map<std::string, std::string>;

/// The source of the field itself, or of the nearest part of the job that holds it:
/// "spec.program.args[3]" is of "spec.program.args". "" = nobody set it.
std::string SourceOf(const FieldSources& sources, std::string path);

/// A job in the making: what its sources have said so far, which of them each field is of, and what
/// is wrong and worth a note. One per ResolveJob, which owns it; those that complete parts of the
/// job work on it. Confined to one thread.
class JobDraft {
 public:
  proto::TrainingJob& job() { return job_; }
  const proto::TrainingJob& job() const { return job_; }
  proto::JobSpec& spec() { return *job_.mutable_spec(); }
  const proto::JobSpec& spec() const { return job_.spec(); }
  FieldSources& sources() { return sources_; }
  const FieldSources& sources() const { return sources_; }
  std::string SourceOf(const std::string& path) const { return launcher::SourceOf(sources_, path); }
  const std::vector<std::string>& notes() const { return notes_; }
  const std::vector<proto::Problem>& problems() const { return problems_; }

  /// As proto::SetJobField.
  void Set(std::string_view path, std::string_view text, const std::string& source);
  /// What a reader of some of the job's fields found, in `source`.
  void Take(const proto::ReadReport& report, const std::string& source);

  void AddProblem(proto::Problem problem) { problems_.push_back(std::move(problem)); }
  void AddProblem(std::string path, std::string value, std::string what, std::string source);
  /// Once, however often it comes.
  void AddNote(std::string note);
  /// Problems of whole checks, each with its field's source; those of fields that have one already
  /// are left out: what could not be read was reported where it stands.
  void AddFound(std::vector<proto::Problem> found);

  /// Who has chosen the kind of spec.placement, for people.
  const std::string& placement_source() const { return placement_source_; }
  void set_placement_source(std::string source) { placement_source_ = std::move(source); }

 private:
  proto::TrainingJob job_;
  FieldSources sources_;
  std::vector<std::string> notes_;
  std::vector<proto::Problem> problems_;
  std::string placement_source_ = "spec.placement";
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_JOB_DRAFT_H_
