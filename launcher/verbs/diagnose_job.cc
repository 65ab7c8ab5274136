// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/diagnose_job.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/imports/evidence_files.h"
#include "collectives/diagnosis/imports/flight_export.h"
#include "collectives/diagnosis/imports/json_tree.h"
#include "collectives/diagnosis/imports/pickle_reader.h"
#include "collectives/diagnosis/words.h"
#include "collectives/recorder/recorder.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/diagnosis/evidence_folder.h"
#include "launcher/diagnosis/stacks/saved_stacks.h"
#include "launcher/verbs/verb_text.h"
#include "launcher/verdict/hang_verdict.h"
#include "launcher/verdict/root_cause.h"
#include "launcher/verdict/screen.h"
#include "runtime/topology/environment.h"

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

/// Of a job, the last round of which `has` says yes; "" where there is none.
base::Result<std::string> LastRound(const VerbContext& context, const JobEntry& job,
                                    const std::function<bool(const std::string&)>& has) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, context.files.ListDirectory(job.path));
  std::optional<uint32_t> last;
  for (const std::string& name : names) {
    const std::optional<uint32_t> round = RoundOf(name);
    if (round.has_value() && round >= last && has(job.path + "/" + name)) last = round;
  }
  return last.has_value() ? job.path + "/round-" + std::to_string(*last) : std::string();
}

base::Result<std::string> FolderOf(const VerbContext& context, const std::string& what) {
  if (HasEvidence(what, context.files)) return what;
  const std::string below = what + "/" + kEvidenceFolder;
  if (HasEvidence(below, context.files)) return below;
  if (what.find('/') != std::string::npos)
    return base::NotFoundError("diagnose " + what + ": there is no evidence in that folder");
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(what));
  ASSIGN_OR_RETURN(const std::string round, LastRound(context, job, [&](const std::string& folder) {
                     return HasEvidence(folder + "/" + kEvidenceFolder, context.files);
                   }));
  if (!round.empty()) return round + "/" + kEvidenceFolder;
  return base::NotFoundError("job " + job.id + " has no evidence: none of its rounds stood still");
}

std::vector<std::string> FlightDumpsIn(const std::string& folder, storage::FileSystem& files) {
  std::vector<std::string> paths;
  const auto names = files.ListDirectory(folder);
  if (!names.ok()) return paths;
  for (const std::string& name : *names) {
    if (name.starts_with(topology::kFlightDumpPrefix)) paths.push_back(folder + "/" + name);
  }
  return paths;
}

/// What PyTorch has dumped into the job's last round with such a thing; empty: nothing.
std::vector<std::string> FlightDumpsOf(const VerbContext& context, const std::string& what) {
  const auto job = OpenStore(context).Find(what);
  if (!job.ok()) return {};
  const auto round = LastRound(context, *job, [&](const std::string& folder) {
    return !FlightDumpsIn(folder, context.files).empty();
  });
  return round.ok() ? FlightDumpsIn(*round, context.files) : std::vector<std::string>();
}

constexpr size_t kFilesMax = 65536;
constexpr size_t kRingBytesMax = collectives::RingBytes(LOCKSTEP_RING_MAX_SLOTS);
constexpr size_t kLinesShown = 16;

/// The files in the folder `what`: those that torch has dumped into a round's, else all.
base::Result<std::vector<std::string>> FilesIn(const VerbContext& context, const std::string& what,
                                               const std::vector<std::string>& names) {
  std::vector<std::string> paths = FlightDumpsIn(what, context.files);
  if (!paths.empty()) return paths;
  for (const std::string& name : names) {
    if (!name.starts_with('.')) paths.push_back(what + "/" + name);
  }
  if (paths.empty()) return base::NotFoundError("diagnose " + what + ": the folder is empty");
  if (paths.size() > kFilesMax) {
    return base::OutOfRangeError("diagnose " + what + ": over " + std::to_string(kFilesMax) +
                                 " files");
  }
  return paths;
}

bool IsFileOrFolder(const VerbContext& context, const std::string& what) {
  return what.find('/') != std::string::npos || context.files.ListDirectory(what).ok() ||
         context.files.ReadFile(what, 0).status().code() != base::Code::kNotFound;
}

base::Status AddFile(const VerbContext& context, const std::string& path,
                     collectives::EvidenceFiles& evidence) {
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes,
                   context.files.ReadFile(path, collectives::kEvidenceFileBytesMax));
  return evidence.Add(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

base::Result<collectives::ImportedEvidence> Import(const VerbContext& context,
                                                   const std::vector<std::string>& what) {
  collectives::EvidenceFiles evidence;
  for (const std::string& operand : what) {
    const auto names = context.files.ListDirectory(operand);
    if (!names.ok()) {
      RETURN_IF_ERROR(AddFile(context, operand, evidence));
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> paths, FilesIn(context, operand, *names));
    base::Status first;
    size_t left_out = 0;
    for (const std::string& path : paths) {
      const base::Status added = AddFile(context, path, evidence);
      if (added.ok()) continue;
      // Whatever else lies in a folder was not named by anybody.
      if (++left_out <= kLinesShown)
        std::fprintf(context.err, "lockstep: left out: %s\n", Printable(added.message()).c_str());
      if (first.ok()) first = added;
    }
    if (left_out == paths.size()) return first;
  }
  const std::vector<std::string>& lines = evidence.lines();
  for (size_t i = 0; i < lines.size() && i < kLinesShown; ++i)
    std::fprintf(context.err, "lockstep: %s\n", Printable(lines[i]).c_str());
  if (lines.size() > kLinesShown)
    std::fprintf(context.err, "lockstep: and %zu files more\n", lines.size() - kLinesShown);
  ASSIGN_OR_RETURN(collectives::ImportedEvidence imported, evidence.Take());
  for (const std::string& note : imported.notes)
    std::fprintf(context.err, "lockstep: %s\n", Printable(note).c_str());
  return imported;
}

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// The rings in a folder of evidence; those that are damaged are said and left out.
base::Result<std::vector<collectives::RingContent>> RingsIn(const VerbContext& context,
                                                            const std::string& folder) {
  std::vector<collectives::RingContent> rings;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, context.files.ListDirectory(folder));
  for (const std::string& name : names) {
    if (!name.ends_with(".ring")) continue;
    const std::string path = folder + "/" + name;
    ASSIGN_OR_RETURN(const std::vector<std::byte> bytes,
                     context.files.ReadFile(path, kRingBytesMax));
    std::vector<uint64_t> words((bytes.size() + 7) / 8);
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::byte*>(words.data()));
    auto ring = collectives::ReadRing(std::as_bytes(std::span(words)).first(bytes.size()));
    if (ring.ok()) {
      rings.push_back(*std::move(ring));
    } else {
      std::fprintf(context.err, "lockstep: %s is left out: %s\n", Printable(path).c_str(),
                   Printable(ring.status().message()).c_str());
    }
  }
  return rings;
}

base::Status ExportRings(const VerbContext& context, const std::string& folder,
                         const std::string& to) {
  ASSIGN_OR_RETURN(const std::vector<collectives::RingContent> rings, RingsIn(context, folder));
  if (rings.empty()) return base::NotFoundError("exporting " + folder + ": it has no ring");
  const base::Status made = context.files.MakeDirectories(to);
  if (!made.ok()) return CannotWrite(made);
  for (const auto& [rank, dump] : collectives::ExportFlightDumps(rings)) {
    const std::pair<std::string, std::string> forms[] = {
        // The analyzer takes every file with its prefix for a pickle; so JSON has another.
        {"/rank_" + rank.ToString(), collectives::WritePickle(*dump)},
        {"/flight_recorder_" + rank.ToString() + ".json", collectives::WriteJson(*dump)}};
    for (const auto& [name, text] : forms) {
      const std::span<const std::byte> bytes = BytesOf(text);
      const base::Status written = context.files.WriteFile(to + name, {&bytes, 1}, {.mode = 0600});
      if (!written.ok()) return CannotWrite(written);
    }
  }
  std::fprintf(context.err,
               "lockstep: wrote %zu flight recorder dumps into %s; torch's analyzer reads them: "
               "torchfrtrace --prefix rank_ %s\n",
               rings.size(), Printable(to).c_str(), Printable(to).c_str());
  return base::OkStatus();
}

void Show(const VerbContext& context, const collectives::Finding& finding,
          const collectives::Evidence& evidence, proto::Verdict verdict, bool json) {
  verdict.set_world_size(static_cast<int32_t>(evidence.ranks.size()));
  if (json) {
    std::fprintf(context.out, "%s", VerdictJson(verdict).c_str());
    return;
  }
  if (verdict.culprits_size() == 0) {
    const std::string summary = collectives::Summary(finding, evidence);
    verdict.set_action_reason(
        Printable(summary.empty() ? "nobody in this evidence waits for anybody" : summary));
  }
  std::fprintf(context.out, "%s", RenderVerdict(verdict).c_str());
}

base::Status DiagnoseFiles(const VerbContext& context, const std::vector<std::string>& what,
                           bool json) {
  ASSIGN_OR_RETURN(const collectives::ImportedEvidence imported, Import(context, what));
  // When they were written is not known, so any wait counts.
  collectives::Finding finding = collectives::Diagnose(
      imported.evidence, {.least_wait = base::Duration(0), .grace = base::Duration(0)});
  finding.confidence = std::min(finding.confidence, imported.confidence_max);
  proto::Verdict verdict = HangVerdict(finding, imported.evidence, "");
  if (finding.op.has_value() && finding.op->kind == collectives::OpKind::kNone)
    verdict.set_op(Printable(finding.op->name));
  for (const std::string& note : imported.notes)
    verdict.mutable_evidence(0)->add_lines(Printable(note));
  Show(context, finding, imported.evidence, std::move(verdict), json);
  return base::OkStatus();
}

/// The culprits'; where nobody is to blame those of all who have some.
std::vector<base::Rank> WhoseStacksTell(const collectives::Finding& finding,
                                        const collectives::Evidence& evidence) {
  std::vector<base::Rank> ranks;
  for (const collectives::Finding::Culprit& culprit : finding.culprits)
    ranks.push_back(culprit.rank);
  if (!ranks.empty() || finding.verdict_class == collectives::Finding::Class::kNone) return ranks;
  for (const collectives::SeenRank& rank : evidence.ranks) ranks.push_back(rank.rank);
  return ranks;
}

base::Status DiagnoseOurs(const VerbContext& context, const std::string& folder, bool json) {
  ASSIGN_OR_RETURN(const SavedEvidence saved, LoadEvidence(folder, context.files));
  collectives::DiagnoseOptions options;
  // That of the job when it stood still; evidence of an older release does not have it.
  if (saved.facts.grace > base::Duration(0)) options.grace = saved.facts.grace;
  options.least_wait = std::min(options.least_wait, options.grace);
  collectives::Finding finding = collectives::Diagnose(saved.evidence, options);
  finding.confidence = std::min(finding.confidence, saved.confidence_max);
  proto::Verdict verdict = HangVerdict(finding, saved.evidence, saved.facts.host);
  verdict.set_job(saved.facts.job);
  verdict.set_round(saved.facts.round.value());
  verdict.set_log_directory(Printable(folder));
  for (const base::Rank rank : WhoseStacksTell(finding, saved.evidence)) {
    const auto stacks = LoadStacks(folder, rank, context.files);
    if (!stacks.has_value()) continue;
    for (proto::Evidence& one : StackEvidence(folder, *stacks))
      *verdict.add_evidence() = std::move(one);
  }
  Show(context, finding, saved.evidence, std::move(verdict), json);
  return base::OkStatus();
}

}  // namespace

base::Status DiagnoseJob(const VerbContext& context, const DiagnoseJobOptions& options) {
  const std::string& first = options.what.front();
  const bool is_ours = HasEvidence(first, context.files) ||
                       HasEvidence(first + "/" + kEvidenceFolder, context.files);
  const bool is_job = first.find('/') == std::string::npos && OpenStore(context).Find(first).ok();
  if (options.what.size() > 1 || (!is_ours && !is_job && IsFileOrFolder(context, first))) {
    if (options.export_to.empty()) return DiagnoseFiles(context, options.what, options.json);
    return base::InvalidArgumentError(
        "--export-flight-recorder writes what Lockstep has recorded: name one job, or one folder "
        "of its evidence");
  }
  const auto found = FolderOf(context, first);
  if (!found.ok() && is_job && options.export_to.empty()) {
    const std::vector<std::string> dumps = FlightDumpsOf(context, first);
    if (!dumps.empty()) return DiagnoseFiles(context, dumps, options.json);
  }
  ASSIGN_OR_RETURN(const std::string folder, found);
  if (!options.export_to.empty()) RETURN_IF_ERROR(ExportRings(context, folder, options.export_to));
  return DiagnoseOurs(context, folder, options.json);
}

}  // namespace lockstep::launcher
