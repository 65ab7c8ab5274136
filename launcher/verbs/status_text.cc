// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/status_text.h"

#include <cmath>
#include <cstdio>

#include "launcher/verbs/verb_text.h"
#include "runtime/base/clock.h"

namespace lockstep::launcher {
namespace {

constexpr int kAwaitedNamed = 3;

std::string OpText(const proto::GroupStatus& group) {
  if (group.op().empty()) return "-";
  return Printable(group.op()) +
         (group.call_site().empty() ? "" : " at " + Printable(group.call_site()));
}

/// Nobody waits in what is over; and in what has just begun.
bool IsWaitedIn(const proto::GroupStatus& group) {
  return group.wait_ns() > 0 && group.state() != "idle" && group.state() != "new";
}

}  // namespace

std::string TimeText(int64_t nanoseconds) {
  return base::FormatDuration(base::Duration(nanoseconds));
}

std::string NumberText(double number) {
  char text[64];
  const int digits = std::abs(number) < 100 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

std::string BytesRateText(double bytes_per_second) {
  const char* const units[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
  size_t unit = 0;
  while (bytes_per_second >= 1000 && unit + 1 < std::size(units)) {
    bytes_per_second /= 1000;
    ++unit;
  }
  return NumberText(bytes_per_second) + " " + units[unit];
}

std::optional<double> SamplesPerSecond(const proto::StatusReply& status) {
  std::optional<double> all;
  for (const proto::RankStatus& rank : status.ranks()) {
    if (rank.has_samples_per_second()) all = all.value_or(0) + rank.samples_per_second();
  }
  return all;
}

std::string RestartsText(const proto::StatusReply& status) {
  return std::to_string(status.restarts_used()) + " of " + std::to_string(status.restarts_max()) +
         " restarts used";
}

std::string AwaitedText(const proto::GroupStatus& group) {
  std::string text;
  int named = 0;
  for (const proto::AwaitedRank& awaited : group.awaited()) {
    if (named == kAwaitedNamed) break;
    ++named;
    text += (text.empty() ? "rank " : "; rank ") + std::to_string(awaited.rank()) + ": " +
            Printable(awaited.state());
  }
  const int more = group.awaited_count() - named;
  if (more > 0) text += (text.empty() ? "" : "; ") + std::to_string(more) + " more";
  if (group.unheard_count() > 0) {
    text += (text.empty() ? "" : "; ") + std::string("too little known of ") +
            std::to_string(group.unheard_count());
  }
  return text.empty() ? "-" : text;
}

TextRows GroupRows(const proto::StatusReply& status) {
  if (status.groups_size() == 0) return {};
  TextRows rows = {{"GROUP", "STATE", "SEQ", "IN IT", "WAITED", "OP", "FOR"}};
  for (const proto::GroupStatus& group : status.groups()) {
    rows.push_back({Printable(group.name()), Printable(group.state()),
                    group.op().empty() ? "-" : std::to_string(group.seq()),
                    std::to_string(group.called()) + " of " + std::to_string(group.size()),
                    IsWaitedIn(group) ? TimeText(group.wait_ns()) : "-", OpText(group),
                    AwaitedText(group)});
  }
  return rows;
}

}  // namespace lockstep::launcher
