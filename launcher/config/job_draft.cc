// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/job_draft.h"

#include <algorithm>
#include <utility>

namespace lockstep::launcher {

using proto::Problem;

std::string SourceOf(const FieldSources& sources, std::string path) {
  for (;;) {
    const auto found = sources.find(path);
    if (found != sources.end()) return found->second;
    const size_t end = path.find_last_of(".[");
    if (end == std::string::npos) return "";
    path.resize(end);
  }
}

void JobDraft::Set(std::string_view path, std::string_view text, const std::string& source) {
  const proto::Placement::KindCase kind_before = spec().placement().kind_case();
  Take(SetJobField(path, text, &job_), source);
  if (spec().placement().kind_case() != kind_before) placement_source_ = source;
}

void JobDraft::Take(const proto::ReadReport& report, const std::string& source) {
  for (Problem problem : report.problems) {
    problem.source = source;
    AddProblem(std::move(problem));
  }
  for (const std::string& note : report.notes) AddNote(source + ": " + note);
  for (const std::string& path : report.paths) sources_[path] = source;
}

void JobDraft::AddProblem(std::string path, std::string value, std::string what,
                          std::string source) {
  problems_.push_back({std::move(path), std::move(value), std::move(what), 0, std::move(source)});
}

void JobDraft::AddNote(std::string note) {
  if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) {
    notes_.push_back(std::move(note));
  }
}

void JobDraft::AddFound(std::vector<Problem> found) {
  for (Problem& problem : found) {
    const auto same = [&](const Problem& known) { return known.path == problem.path; };
    if (std::any_of(problems_.begin(), problems_.end(), same)) continue;
    problem.source = SourceOf(problem.path);
    problems_.push_back(std::move(problem));
  }
}

}  // namespace lockstep::launcher
