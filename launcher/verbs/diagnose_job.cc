// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/diagnose_job.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/words.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/verbs/verb_text.h"
#include "launcher/verdict/hang_verdict.h"
#include "launcher/verdict/root_cause.h"
#include "launcher/verdict/screen.h"

namespace lockstep::launcher {
namespace {

bool HasEvidence(const std::string& folder, storage::FileSystem& files) {
  const auto names = files.ListDirectory(folder);
  return names.ok() && std::find(names->begin(), names->end(), "processes.json") != names->end();
}

/// The number in "round-<n>".
std::optional<uint32_t> RoundOf(std::string_view name) {
  constexpr std::string_view kPrefix = "round-";
  uint32_t round = 0;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const auto [end, error] =
      std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), round);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return round;
}

base::Result<std::string> FolderOf(const VerbContext& context, const std::string& what) {
  if (HasEvidence(what, context.files)) return what;
  const std::string below = what + "/" + kEvidenceFolder;
  if (HasEvidence(below, context.files)) return below;
  if (what.find('/') != std::string::npos)
    return base::NotFoundError("diagnose " + what + ": there is no evidence in that folder");
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(what));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, context.files.ListDirectory(job.path));
  std::optional<uint32_t> last;
  for (const std::string& name : names) {
    const std::optional<uint32_t> round = RoundOf(name);
    const std::string folder = job.path + "/" + name + "/" + kEvidenceFolder;
    if (round.has_value() && round >= last && HasEvidence(folder, context.files)) last = round;
  }
  if (last.has_value()) return job.path + "/round-" + std::to_string(*last) + "/" + kEvidenceFolder;
  return base::NotFoundError("job " + job.id + " has no evidence: none of its rounds stood still");
}

}  // namespace

base::Status DiagnoseJob(const VerbContext& context, const DiagnoseJobOptions& options) {
  ASSIGN_OR_RETURN(const std::string folder, FolderOf(context, options.what));
  ASSIGN_OR_RETURN(const SavedEvidence saved, LoadEvidence(folder, context.files));
  const collectives::Finding finding = collectives::Diagnose(saved.evidence);
  proto::Verdict verdict = HangVerdict(finding, saved.evidence, saved.facts.host);
  verdict.set_job(saved.facts.job);
  verdict.set_round(saved.facts.round.value());
  verdict.set_world_size(static_cast<int32_t>(saved.evidence.ranks.size()));
  verdict.set_log_directory(Printable(folder));
  if (options.json) {
    std::fprintf(context.out, "%s", VerdictJson(verdict).c_str());
    return base::OkStatus();
  }
  if (verdict.culprits_size() == 0) {
    const std::string summary = collectives::Summary(finding, saved.evidence);
    verdict.set_action_reason(
        Printable(summary.empty() ? "nobody in this evidence waits for anybody" : summary));
  }
  std::fprintf(context.out, "%s", RenderVerdict(verdict).c_str());
  return base::OkStatus();
}

}  // namespace lockstep::launcher
