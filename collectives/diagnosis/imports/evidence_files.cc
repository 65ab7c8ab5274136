// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/evidence_files.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "collectives/diagnosis/imports/flight_evidence.h"
#include "collectives/diagnosis/imports/json_tree.h"
#include "collectives/diagnosis/imports/pickle_reader.h"
#include "collectives/diagnosis/imports/ras_evidence.h"

namespace lockstep::collectives {
namespace {

constexpr const char* kWhatIsRead =
    "a PyTorch flight recorder's dump (pickle or JSON), or a report of NCCL's RAS (text or JSON)";

/// What bytes that are none of ours look like.
std::string LooksLike(std::string_view bytes) {
  if (bytes.starts_with("LCSRING1")) return "a recorder ring of Lockstep's: name its folder";
  if (bytes.starts_with("\x1f\x8b")) return "a gzip file: unpack it first";
  if (bytes.starts_with("\x28\xb5\x2f\xfd")) return "a zstd file: unpack it first";
  if (bytes.starts_with("PK\x03\x04")) return "a zip archive, as torch.save writes";
  if (bytes.starts_with("\x7f"
                        "ELF"))
    return "a program or core file";
  if (bytes.starts_with("(") || bytes.starts_with("]"))
    return "a pickle of protocol 0 or 1, which torch does not write";
  return "nothing known";
}

std::string Plural(size_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

base::Status EvidenceFiles::Add(const std::string& path, std::string_view bytes) {
  if (bytes.empty()) {
    return base::InvalidArgumentError(
        path + ": it is empty: whoever wrote it was ended before it could, or its disk is full");
  }
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  if (bytes.front() == '\x80') {
    const auto tree = ReadPickle(bytes);
    return tree.ok() ? AddTree(path, **tree, true) : tree.status().WithFrame(path);
  }
  if (first != std::string_view::npos && bytes[first] == '{') {
    const auto tree = ReadJson(bytes);
    return tree.ok() ? AddTree(path, **tree, false) : tree.status().WithFrame(path);
  }
  if (IsRasText(bytes)) {
    auto report = ReadRasText(bytes);
    return report.ok() ? AddReport(path, *std::move(report))
                       : report.status().WithFrame(path + ": NCCL RAS");
  }
  return base::InvalidArgumentError(path + ": it looks like " + LooksLike(bytes) +
                                    "; what is read is " + kWhatIsRead);
}

base::Status EvidenceFiles::AddTree(const std::string& path, const Tree& tree, bool is_pickle) {
  if (IsFlightDump(tree)) {
    auto dump = ReadFlightDump(tree);
    return dump.ok() ? AddDump(path, *std::move(dump), is_pickle)
                     : dump.status().WithFrame(path + ": flight recorder");
  }
  if (!is_pickle && IsRasJson(tree)) {
    auto report = ReadRasJson(tree);
    return report.ok() ? AddReport(path, *std::move(report))
                       : report.status().WithFrame(path + ": NCCL RAS");
  }
  return base::InvalidArgumentError(path + ": " + (is_pickle ? "a pickle" : "JSON") +
                                    ", but of something else; what is read is " + kWhatIsRead);
}

base::Status EvidenceFiles::AddDump(const std::string& path, FlightDump dump, bool is_pickle) {
  if (!reports_.empty()) {
    return base::FailedPreconditionError(
        path + ": a dump beside reports of NCCL's RAS; diagnose one kind at a time");
  }
  const std::optional<base::Rank> rank = dump.rank.has_value() ? dump.rank : RankOfFileName(path);
  if (!rank.has_value()) {
    return base::InvalidArgumentError(
        path +
        ": of which rank is it? A dump does not say; end its name with the rank, as "
        "torch does: nccl_trace_rank_3");
  }
  std::string line = path + ": PyTorch flight recorder, " + (is_pickle ? "pickle" : "JSON") +
                     " of version " + (dump.version.empty() ? "?" : dump.version) + ", rank " +
                     rank->ToString() + ": " + Plural(dump.entries.size(), "entry", "entries");
  const auto known = files_.find(*rank);
  if (known == files_.end()) {
    files_.emplace(*rank, Dump{.path = path, .has_stacks = is_pickle});
    dumps_.emplace(*rank, std::move(dump));
  } else if (known->second.has_stacks == is_pickle) {
    return base::AlreadyExistsError(path + ": a second dump of rank " + rank->ToString() + ", as " +
                                    known->second.path + "; name those of one moment");
  } else {
    // The same in two forms: JSON has no stacks.
    line += "; the pickle of this rank is read";
    if (is_pickle) {
      known->second = {.path = path, .has_stacks = true};
      dumps_[*rank] = std::move(dump);
    }
  }
  lines_.push_back(std::move(line));
  return base::OkStatus();
}

base::Status EvidenceFiles::AddReport(const std::string& path, RasReport report) {
  if (!dumps_.empty()) {
    return base::FailedPreconditionError(
        path + ": a report of NCCL's RAS beside dumps; diagnose one kind at a time");
  }
  lines_.push_back(path + ": NCCL RAS, " + (report.is_text ? "text" : "JSON") + " of NCCL " +
                   (report.nccl_version.empty() ? "?" : report.nccl_version) + ": " +
                   Plural(report.communicators.size(), "communicator", "communicators") +
                   (report.is_text ? " with something to tell" : ""));
  reports_.push_back(std::move(report));
  return base::OkStatus();
}

base::Result<ImportedEvidence> EvidenceFiles::Take() {
  if (!reports_.empty()) return FromRasReports(std::move(reports_));
  return FromFlightDumps(dumps_);
}

}  // namespace lockstep::collectives
