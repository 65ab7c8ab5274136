// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/against_floor.h"

#include "tests/bench/contest.h"

namespace lockstep::bench {
namespace {

constexpr const char* kFloor = "floor";
constexpr const char* kPlainFloor = "floor-plain";

}  // namespace

BenchRow::Peer BestLibrary(const BenchRow::Ours& ours) {
  BenchRow::Peer best;
  for (const auto& [kind, peer] : ours.peers) {
    if (kind == kFloor || kind == kPlainFloor) continue;
    if (best.best.empty() || peer.ratio < best.ratio) best = peer;
  }
  return best;
}

std::optional<BenchRow::Peer> FloorOf(const BenchRow& row, const std::string& ours_name) {
  const auto ours = row.ours.find(ours_name);
  if (ours == row.ours.end()) return std::nullopt;
  const auto floor = ours->second.peers.find(ours_name.ends_with(" plain") ? kPlainFloor : kFloor);
  if (floor == ours->second.peers.end() || floor->second.ratio <= 0) return std::nullopt;
  return floor->second;
}

std::optional<FloorPlace> PlaceAboveFloor(const BenchRow& row, const std::string& ours_name) {
  const std::optional<BenchRow::Peer> floor = FloorOf(row, ours_name);
  if (!floor) return std::nullopt;
  const BenchRow::Peer library = BestLibrary(row.ours.at(ours_name));
  if (library.best.empty()) return std::nullopt;
  return FloorPlace{.ours = 1 / floor->ratio, .peer = library.ratio / floor->ratio};
}

std::string FloorText(const FloorPlace& place, double bar) {
  const double needed = place.peer / bar;
  return "ours takes " + FormatFigure(place.ours) + " times the floor, the best MPI " +
         FormatFigure(place.peer) + " times; the bar asks for " + FormatFigure(needed) +
         (needed < 1 ? ", which would be faster than the floor itself" : "");
}

std::string FloorCell(const BenchRow& row, const std::string& ours_name) {
  const std::optional<BenchRow::Peer> floor = FloorOf(row, ours_name);
  if (!floor) return "-";
  const std::string way = floor->best.substr(floor->best.find(' ') + 1);
  return FormatFigure(floor->time_us) + " (" + way + "; ours " + FormatFigure(1 / floor->ratio) +
         " times)";
}

std::string BelowFloorText(const BenchRow& row, const std::string& ours_name) {
  const std::optional<BenchRow::Peer> floor = FloorOf(row, ours_name);
  if (!floor || floor->low <= 1) return "";
  return "no floor at " + std::to_string(row.bytes) + " bytes, " + ours_name + ": " + floor->best +
         " takes " + FormatFigure(floor->ratio) + " times ours";
}

}  // namespace lockstep::bench
