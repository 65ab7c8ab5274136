// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/flight_dump.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace lockstep::collectives {
namespace {

constexpr size_t kEntriesMax = size_t{1} << 20;
constexpr size_t kMembersMax = size_t{1} << 20;  // of all groups of a dump
constexpr int64_t kRankMax = 65535;
constexpr size_t kNameMax = 256;

std::string Clipped(const std::string& text) { return text.substr(0, kNameMax); }

/// "[0, 1, 2]", as torch writes members into a text; or a list.
base::Result<std::vector<base::Rank>> MembersOf(const Tree* ranks, size_t& named) {
  std::vector<base::Rank> members;
  const auto add = [&](int64_t rank) -> base::Status {
    if (rank < 0 || rank > kRankMax)
      return base::InvalidArgumentError("a group with rank " + std::to_string(rank));
    if (++named > kMembersMax) return base::OutOfRangeError("groups with too many members");
    members.emplace_back(static_cast<int32_t>(rank));
    return base::OkStatus();
  };
  if (ranks == nullptr) return members;
  for (const TreePtr& item : ranks->items()) RETURN_IF_ERROR(add(item->AsInteger().value_or(-1)));
  const std::string& text = ranks->text();
  for (size_t at = 0; at < text.size();) {
    if (text[at] < '0' || text[at] > '9') {
      ++at;
      continue;
    }
    int64_t rank = -1;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), rank);
    RETURN_IF_ERROR(add(error == std::errc() ? rank : -1));
    at = static_cast<size_t>(end - text.data());
  }
  return members;
}

/// Elements of each tensor, from its dimensions; what does not fit is all there is.
std::vector<int64_t> ElementsOf(const std::vector<TreePtr>& sizes) {
  std::vector<int64_t> elements;
  for (const TreePtr& dimensions : sizes) {
    int64_t product = 1;
    for (const TreePtr& dimension : dimensions->items()) {
      const int64_t size = std::max<int64_t>(dimension->AsInteger().value_or(0), 0);
      if (__builtin_mul_overflow(product, size, &product)) product = INT64_MAX;
    }
    elements.push_back(product);
  }
  return elements;
}

std::vector<std::string> TextsOf(const std::vector<TreePtr>& items) {
  std::vector<std::string> texts;
  texts.reserve(items.size());
  for (const TreePtr& item : items) texts.push_back(Clipped(item->text()));
  return texts;
}

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// The innermost frame that is not torch's own.
std::string CallSiteOf(const std::vector<TreePtr>& frames) {
  const Tree* chosen = nullptr;
  for (const TreePtr& frame : frames) {
    const std::string& file = frame->TextAt("filename");
    if (file.empty()) continue;
    if (chosen == nullptr) chosen = frame.get();
    if (file.find("/torch/") != std::string::npos) continue;
    chosen = frame.get();
    break;
  }
  if (chosen == nullptr) return "";
  std::string site = Clipped(std::string(BaseName(chosen->TextAt("filename"))));
  if (const int64_t line = chosen->IntegerAt("line"); line > 0) site += ":" + std::to_string(line);
  return site;
}

base::Result<FlightEntry> EntryOf(const Tree& tree) {
  FlightEntry entry;
  const std::vector<TreePtr>& group = tree.ItemsAt("process_group");
  if (!group.empty()) entry.group = Clipped(group[0]->text());
  if (group.size() > 1) entry.description = Clipped(group[1]->text());
  entry.name = Clipped(tree.TextAt("profiling_name"));
  // Before version 2.2: one number for all.
  entry.collective_seq = tree.IntegerAt("collective_seq_id", tree.IntegerAt("seq_id", -1));
  if (group.empty() || entry.name.empty() || entry.collective_seq < 0)
    return base::InvalidArgumentError("it has no group, name or number");
  entry.record_id = tree.IntegerAt("record_id");
  entry.is_transfer = tree.BoolAt("is_p2p");
  const std::string& state = tree.TextAt("state");
  if (state == "completed") {
    entry.state = FlightEntry::State::kCompleted;
  } else if (state == "started") {
    entry.state = FlightEntry::State::kStarted;
  } else if (state != "scheduled") {
    return base::InvalidArgumentError("state \"" + Clipped(state) + "\" is none");
  }
  entry.is_retired = tree.BoolAt("retired");
  entry.input_elements = ElementsOf(tree.ItemsAt("input_sizes"));
  entry.output_elements = ElementsOf(tree.ItemsAt("output_sizes"));
  entry.input_dtypes = TextsOf(tree.ItemsAt("input_dtypes"));
  entry.output_dtypes = TextsOf(tree.ItemsAt("output_dtypes"));
  entry.created_ns = std::max<int64_t>(tree.IntegerAt("time_created_ns"), 0);
  entry.last_seen_ns = std::max({entry.created_ns, tree.IntegerAt("time_discovered_started_ns"),
                                 tree.IntegerAt("time_discovered_completed_ns")});
  entry.call_site = CallSiteOf(tree.ItemsAt("frames"));
  return entry;
}

}  // namespace

bool IsFlightDump(const Tree& tree) {
  return tree.Find("entries") != nullptr ||
         (tree.Find("version") != nullptr && tree.Find("pg_config") != nullptr);
}

base::Result<FlightDump> ReadFlightDump(const Tree& tree) {
  FlightDump dump{.version = Clipped(tree.TextAt("version")),
                  .rank = std::nullopt,
                  .groups = {},
                  .entries = {}};
  if (const int64_t rank = tree.IntegerAt("rank", -1); rank >= 0 && rank <= kRankMax)
    dump.rank = base::Rank(static_cast<int32_t>(rank));
  size_t named = 0;
  if (const Tree* const groups = tree.Find("pg_config"); groups != nullptr) {
    for (const auto& [name, group] : groups->fields()) {
      auto members = MembersOf(group->Find("ranks"), named);
      if (!members.ok()) return members.status().WithFrame("group \"" + Clipped(name) + "\"");
      dump.groups.push_back({.name = Clipped(name),
                             .description = Clipped(group->TextAt("desc")),
                             .members = *std::move(members)});
    }
  }
  const std::vector<TreePtr>& entries = tree.ItemsAt("entries");
  if (entries.size() > kEntriesMax) {
    return base::OutOfRangeError(std::to_string(entries.size()) + " entries; at most " +
                                 std::to_string(kEntriesMax) + " are read");
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    auto entry = EntryOf(*entries[i]);
    if (!entry.ok()) return entry.status().WithFrame("entry " + std::to_string(i));
    dump.entries.push_back(*std::move(entry));
  }
  std::stable_sort(
      dump.entries.begin(), dump.entries.end(),
      [](const FlightEntry& a, const FlightEntry& b) { return a.record_id < b.record_id; });
  return dump;
}

std::optional<base::Rank> RankOfFileName(std::string_view path) {
  std::string_view name = BaseName(path);
  for (const std::string_view extension :
       {".json", ".pickle", ".pkl", ".pt", ".bin", ".txt", ".dump"}) {
    if (name.ends_with(extension)) name.remove_suffix(extension.size());
  }
  size_t first = name.size();
  while (first > 0 && name[first - 1] >= '0' && name[first - 1] <= '9') --first;
  int32_t rank = -1;
  const auto [end, error] = std::from_chars(name.data() + first, name.data() + name.size(), rank);
  if (error != std::errc() || first == name.size() || rank > kRankMax) return std::nullopt;
  return base::Rank(rank);
}

}  // namespace lockstep::collectives
