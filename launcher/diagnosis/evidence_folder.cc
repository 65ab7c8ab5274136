// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/evidence_folder.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "collectives/diagnosis/imports/flight_dump_file.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/diagnosis/words.h"
#include "collectives/recorder/recorder.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/diagnosis/flight_merge.h"
#include "launcher/diagnosis/flight_source.h"
#include "launcher/diagnosis/seen_process.h"
#include "runtime/proto/evidence.pb.h"

namespace lockstep::launcher {
namespace {

using collectives::Evidence;
using collectives::SeenRank;

constexpr size_t kProcessesBytesMax = size_t{64} << 20;
constexpr size_t kRingBytesMax = collectives::RingBytes(LOCKSTEP_RING_MAX_SLOTS);
constexpr int kRanksMax = 65536;

std::string RingPath(const std::string& folder, base::Rank rank) {
  return folder + "/rank-" + rank.ToString() + ".ring";
}

std::string FlightPath(const std::string& folder, base::Rank rank) {
  return folder + "/rank-" + rank.ToString() + ".flight";
}

base::Status Write(const std::string& path, std::span<const std::byte> bytes,
                   storage::FileSystem& files) {
  return files.WriteFile(path, {&bytes, 1}, {.mode = 0600});
}

/// Up to the last slot that was ever written.
std::span<const std::byte> UsedPart(std::span<const std::byte> ring) {
  const auto head = collectives::ReadRingHead(ring);
  if (!head.ok()) return ring;
  const auto slots =
      static_cast<uint32_t>(std::min<uint64_t>(head->record_count, head->slot_count));
  return ring.first(std::min(ring.size(), collectives::RingBytes(slots)));
}

/// What torch has dumped; nothing where nobody was asked.
void AddFlights(const std::string& folder, const proto::GangProcesses& processes,
                storage::FileSystem& files, SavedEvidence& saved) {
  const int64_t asked_ns = processes.flights_asked_ns();
  if (asked_ns <= 0) return;
  std::map<base::Rank, collectives::FlightDump> dumps;
  for (const int32_t kept : processes.flights_kept()) {
    const base::Rank rank(kept);
    const std::string path = FlightPath(folder, rank);
    const auto bytes = files.ReadFile(path, kFlightDumpBytesMax);
    if (!bytes.ok()) {
      saved.evidence.notes.push_back(
          "rank " + rank.ToString() +
          ": what torch had recorded is not there: " + bytes.status().message());
      continue;
    }
    auto dump = collectives::ReadFlightDumpFile(
        path, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
    if (dump.ok()) {
      dumps.emplace(rank, *std::move(dump));
    } else {
      saved.evidence.notes.push_back(dump.status().message());
    }
  }
  saved.confidence_max = AddFlightDumps(dumps, {.asked_ns = asked_ns}, saved.evidence);
}

}  // namespace

void KeepWithin(size_t bytes_max, const std::vector<base::Rank>& first, AskedFlights& flights) {
  std::map<base::Rank, std::shared_ptr<const std::string>> kept;
  size_t bytes = 0;
  const auto keep = [&](base::Rank rank) {
    const auto dump = flights.dumps.find(rank);
    if (dump == flights.dumps.end() || bytes + dump->second->size() > bytes_max) return;
    if (kept.insert(*dump).second) bytes += dump->second->size();
  };
  for (const base::Rank rank : first) keep(rank);
  for (const auto& [rank, dump] : flights.dumps) {
    keep(rank);
    if (!kept.contains(rank)) flights.left_out.push_back(rank);
  }
  flights.dumps = std::move(kept);
}

std::string LeftOutText(const std::vector<base::Rank>& ranks) {
  if (ranks.empty()) return "";
  return "what torch has recorded of " + collectives::RankList(ranks) +
         " was looked at and is not kept: all dumps of a node have " +
         std::to_string(kFlightsBytesMax >> 20) +
         " MiB at the most; a smaller TORCH_FR_BUFFER_SIZE makes them shorter";
}

base::Status SaveEvidence(const std::string& folder, const EvidenceFacts& facts,
                          const Evidence& evidence,
                          const std::map<base::Rank, std::span<const std::byte>>& rings,
                          const AskedFlights& flights, storage::FileSystem& files) {
  RETURN_IF_ERROR(files.MakeDirectories(folder));
  proto::GangProcesses processes;
  processes.set_job(facts.job);
  processes.set_round(facts.round.value());
  processes.set_host(facts.host);
  processes.set_monotonic_ns(facts.monotonic_ns);
  processes.set_world_size(evidence.world_size);
  processes.set_flights_asked_ns(flights.asked_ns);
  processes.set_grace_ns(facts.grace.count());
  for (const auto& [rank, _] : flights.dumps) processes.add_flights_kept(rank.value());
  for (const base::Rank rank : flights.left_out) processes.add_flights_left_out(rank.value());
  for (const SeenRank& rank : evidence.ranks) *processes.add_ranks() = ToProto(rank);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(processes, &json, options).ok())
    return base::InternalError("evidence of the gang cannot be written as JSON");
  // Of an earlier look of the round nothing is left beside what is said of this one.
  const std::string path = folder + "/processes.json";
  (void)files.RemoveFile(path);
  for (const auto& [rank, _] : flights.dumps) (void)files.RemoveFile(FlightPath(folder, rank));
  for (const auto& [rank, ring] : rings)
    RETURN_IF_ERROR(Write(RingPath(folder, rank), UsedPart(ring), files));
  // Last: where it is, all rings are.
  return Write(path, std::as_bytes(std::span(json)), files);
}

base::Status SaveFlights(const std::string& folder, const AskedFlights& flights,
                         storage::FileSystem& files) {
  for (const auto& [rank, dump] : flights.dumps)
    RETURN_IF_ERROR(Write(FlightPath(folder, rank), std::as_bytes(std::span(*dump)), files));
  return base::OkStatus();
}

base::Result<SavedEvidence> LoadEvidence(const std::string& folder, storage::FileSystem& files) {
  const std::string path = folder + "/processes.json";
  ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, files.ReadFile(path, kProcessesBytesMax));
  proto::GangProcesses processes;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // of a later release
  const std::string json(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!google::protobuf::util::JsonStringToMessage(json, &processes, options).ok() ||
      processes.ranks_size() > kRanksMax || processes.world_size() > kRanksMax) {
    return base::DataLossError("reading evidence: " + path + " is none");
  }
  SavedEvidence saved{.facts = {.job = processes.job(),
                                .round = base::Round(processes.round()),
                                .host = processes.host(),
                                .monotonic_ns = processes.monotonic_ns(),
                                .grace = base::Duration(processes.grace_ns())},
                      .evidence = {.ranks = {}, .world_size = processes.world_size()}};
  std::set<int32_t> ranks;
  for (const proto::RankSeen& process : processes.ranks()) {
    if (process.rank() < 0 || !ranks.insert(process.rank()).second) continue;
    SeenRank rank{.rank = base::Rank(process.rank()),
                  .node_answers = process.node_answers(),
                  .ring_read = process.ring_read()};
    const auto ring = files.ReadFile(RingPath(folder, rank.rank), kRingBytesMax);
    if (ring.ok()) {
      // Words are read, which a vector of bytes need not be aligned for.
      std::vector<uint64_t> words((ring->size() + 7) / 8);
      std::memcpy(words.data(), ring->data(), ring->size());
      const auto content =
          collectives::ReadRing(std::as_bytes(std::span(words)).first(ring->size()));
      rank.ring_read = content.ok();
      if (content.ok()) {
        SeenRank seen = collectives::FromRing(*content, saved.facts.monotonic_ns);
        seen.rank = rank.rank;
        seen.node_answers = rank.node_answers;
        rank = std::move(seen);
      }
    }
    rank.process = ProcessOf(process);
    rank.sockets = SocketsOf(process);
    rank.sockets_cut = process.sockets_cut();
    saved.evidence.ranks.push_back(std::move(rank));
  }
  AddFlights(folder, processes, files, saved);
  std::vector<base::Rank> left_out;
  for (const int32_t rank : processes.flights_left_out()) left_out.push_back(base::Rank(rank));
  if (!left_out.empty()) saved.evidence.notes.push_back(LeftOutText(left_out));
  return saved;
}

}  // namespace lockstep::launcher
