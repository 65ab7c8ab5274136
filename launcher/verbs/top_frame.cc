// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/top_frame.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "launcher/verbs/status_text.h"
#include "launcher/verbs/verb_text.h"
#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

/// Shorter waits are those of a gang that goes on.
constexpr int64_t kLongWaitNs = 1'000'000'000;
constexpr size_t kSlowShown = 3;

struct Marks {
  std::set<int> slow;
  std::set<int> awaited;
};

Marks MarksOf(const proto::StatusReply& status) {
  Marks marks;
  marks.slow.insert(status.pace().stragglers().begin(), status.pace().stragglers().end());
  for (const proto::GroupStatus& group : status.groups()) {
    if (group.state() != "waiting" || group.wait_ns() < kLongWaitNs) continue;
    for (const proto::AwaitedRank& awaited : group.awaited()) marks.awaited.insert(awaited.rank());
  }
  return marks;
}

std::vector<std::string> TableLines(const TextRows& rows) {
  return rows.empty() ? std::vector<std::string>() : LinesOf(FormatTable(rows));
}

// ------------------------------------------------------------------------------------------- head

std::string JobLine(const proto::StatusReply& status, const TopView& view) {
  std::string line = Printable(status.job_id()) + " on " + Printable(status.host()) + ": " +
                     Printable(status.phase()) +
                     (status.suspended() ? ", stopped by a signal" : "");
  if (status.launcher().empty()) {
    line += ", round " + std::to_string(status.round()) + " for " +
            TimeText(status.round_age_ns()) + ", " + RestartsText(status);
  } else {
    line +=
        ", started by " + Printable(status.launcher()) + ", for " + TimeText(status.job_age_ns());
  }
  return view.clock.empty() ? line : line + "  " + view.clock;
}

std::string CountsLine(const proto::StatusReply& status) {
  const auto alive = std::count_if(status.ranks().begin(), status.ranks().end(),
                                   [](const auto& rank) { return rank.life() == "alive"; });
  std::string line = std::to_string(alive) + " of " +
                     std::to_string(std::max(status.rank_count(), status.ranks_size())) +
                     " ranks alive";
  if (status.nodes_size() > 0) line += " on " + std::to_string(status.nodes_size()) + " nodes";
  if (status.has_best_step()) line += ", step " + std::to_string(status.best_step());
  if (const auto samples = SamplesPerSecond(status))
    line += ", " + NumberText(*samples) + " samples/s";
  uint64_t verdicts = 0;
  for (const proto::VerdictCount& verdict : status.verdicts()) verdicts += verdict.count();
  if (verdicts > 0)
    line += ", " + std::to_string(verdicts) + (verdicts == 1 ? " verdict" : " verdicts");
  return line;
}

/// What is slow, and the slowest link where there are such that can be told apart.
std::vector<std::string> SlowLines(const proto::StatusReply& status) {
  std::vector<std::string> lines;
  for (const std::string& slow : status.pace().slow()) {
    if (lines.size() == kSlowShown) break;
    lines.push_back("* " + Printable(slow));
  }
  if (status.pace().links_size() > 0) {
    const proto::LinkPace& link = status.pace().links(0);
    lines.push_back("slowest link: rank " + std::to_string(link.from()) + " to rank " +
                    std::to_string(link.to()) + ", " + BytesRateText(link.bytes_per_second()));
  }
  return lines;
}

// ------------------------------------------------------------------------------------------ ranks

std::string ShareText(double share) {
  return std::to_string(std::lround(std::clamp(share, 0.0, 1.0) * 100)) + " %";
}

std::string StepTimeText(const proto::RankPace& pace) {
  if (!(pace.steps_per_second() > 0)) return "-";
  return TimeText(static_cast<int64_t>(std::min(1e9 / pace.steps_per_second(), 9e18)));
}

std::string LatenessText(const proto::RankPace& pace) {
  // Who comes early is not late; by how much is no news.
  return pace.lateness_ns() > 0 ? "+" + TimeText(pace.lateness_ns()) : "0";
}

std::string DoingText(const proto::RankStatus& rank) {
  const bool lives = rank.life() == "alive" || rank.life().empty();
  if (!lives) {
    return Printable(rank.life()) + (rank.exit().empty() ? "" : ": " + Printable(rank.exit()));
  }
  const std::string phase = rank.phase().empty() ? "" : "[" + Printable(rank.phase()) + "] ";
  const std::string op = Printable(rank.op());
  if (rank.has_wait_ns()) return phase + "in " + op;
  return phase + (op.empty() ? "" : "after " + op);
}

TextRows RankRows(const proto::StatusReply& status, const Marks& marks) {
  const bool several_nodes = status.nodes_size() > 0;
  const bool has_samples = SamplesPerSecond(status).has_value();
  TextRows rows = {{"  RANK"}};
  if (several_nodes) rows[0].insert(rows[0].end(), {"NODE", "HOST"});
  rows[0].insert(rows[0].end(), {"STEP", "STEP TIME", "IN OPS", "LATE", "BANDWIDTH"});
  if (has_samples) rows[0].push_back("SAMPLES/S");
  rows[0].insert(rows[0].end(), {"WAITS", "WHERE"});
  for (const proto::RankStatus& rank : status.ranks()) {
    const bool known = rank.has_pace();
    const char* const mark = marks.slow.contains(rank.rank())      ? "* "
                             : marks.awaited.contains(rank.rank()) ? "> "
                                                                   : "  ";
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(mark + std::to_string(rank.rank()));
    if (several_nodes) {
      row.push_back(std::to_string(rank.node()));
      row.push_back(Printable(rank.host()));
    }
    row.push_back(rank.has_step() ? std::to_string(rank.step()) : "-");
    row.push_back(known ? StepTimeText(rank.pace()) : "-");
    row.push_back(known ? ShareText(rank.pace().in_ops_share()) : "-");
    row.push_back(known ? LatenessText(rank.pace()) : "-");
    row.push_back(known ? BytesRateText(rank.pace().bytes_per_second()) : "-");
    if (has_samples)
      row.push_back(rank.has_samples_per_second() ? NumberText(rank.samples_per_second()) : "-");
    row.push_back(rank.has_wait_ns() ? TimeText(rank.wait_ns()) : "-");
    row.push_back(DoingText(rank));
  }
  return rows;
}

TopStyle StyleOf(const proto::RankStatus& rank, const Marks& marks) {
  if (marks.slow.contains(rank.rank())) return TopStyle::kAlert;
  const bool has_ended = rank.life() != "alive" && rank.life() != "spawning";
  if (has_ended || marks.awaited.contains(rank.rank())) return TopStyle::kBold;
  return TopStyle::kPlain;
}

// ------------------------------------------------------------------------------------------ frame

/// How many of the groups' lines there is room for, when ranks are to have half of the screen.
size_t GroupLinesShown(size_t lines, size_t head, size_t ranks, size_t rows) {
  if (rows == 0) return lines;
  const size_t body = rows > head ? rows - head : 0;
  const size_t of_ranks = std::min(ranks, (body + 1) / 2);
  return std::min(lines, body - of_ranks);
}

std::string Footer(const TopFrame& frame, int all, const TopView& view) {
  const std::string where =
      "rows " + std::to_string(frame.rows_shown == 0 ? 0 : frame.first_row + 1) + " to " +
      std::to_string(frame.first_row + frame.rows_shown) + " of " + std::to_string(all);
  return where + "; " + (view.note.empty() ? "q quits, arrows and page keys scroll" : view.note);
}

}  // namespace

TopFrame RenderTop(const proto::StatusReply& status, const TopView& view) {
  TopFrame frame;
  const auto add = [&](const std::string& text, TopStyle style) {
    frame.lines.push_back({ClipLine(text, view.columns), style});
  };
  const Marks marks = MarksOf(status);
  add(JobLine(status, view), TopStyle::kBold);
  add(CountsLine(status), TopStyle::kPlain);
  for (const std::string& line : SlowLines(status))
    add(line, line.starts_with('*') ? TopStyle::kAlert : TopStyle::kPlain);

  const std::vector<std::string> ranks = TableLines(RankRows(status, marks));
  std::vector<std::string> groups = TableLines(GroupRows(status));
  // Two empty lines, the ranks' head and the last line have to fit as well.
  const size_t shown = GroupLinesShown(groups.size(), frame.lines.size() + (groups.empty() ? 3 : 4),
                                       ranks.size() - 1, view.rows);
  size_t left_out = groups.size() - shown + static_cast<size_t>(status.groups_left_out());
  if (shown < groups.size() && shown > 0) ++left_out;  // its line says how many
  groups.resize(shown < groups.size() && shown > 0 ? shown - 1 : shown);
  if (shown > 0) {
    add("", TopStyle::kPlain);
    for (size_t i = 0; i < groups.size(); ++i)
      add(groups[i], i == 0 ? TopStyle::kReverse : TopStyle::kPlain);
    if (left_out > 0) add("and " + std::to_string(left_out) + " groups more", TopStyle::kPlain);
  }
  add("", TopStyle::kPlain);
  add(ranks[0], TopStyle::kReverse);

  const auto all = static_cast<int>(ranks.size()) - 1;
  const auto used = static_cast<int>(frame.lines.size()) + 1;
  const int room = view.rows == 0 ? all : std::max(static_cast<int>(view.rows) - used, 0);
  frame.first_row = std::clamp(view.first_row, 0, std::max(all - room, 0));
  frame.rows_shown = std::min(room, all - frame.first_row);
  for (int row = frame.first_row; row < frame.first_row + frame.rows_shown; ++row)
    add(ranks[static_cast<size_t>(row) + 1], StyleOf(status.ranks(row), marks));
  if (view.rows == 0) return frame;
  while (frame.lines.size() + 1 < view.rows) add("", TopStyle::kPlain);
  frame.lines.resize(std::min(frame.lines.size(), view.rows - 1));
  add(Footer(frame, all, view), TopStyle::kReverse);
  return frame;
}

}  // namespace lockstep::launcher
