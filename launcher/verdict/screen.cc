// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verdict/screen.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "launcher/verdict/clean_text.h"
#include "runtime/base/clock.h"

namespace lockstep::launcher {

namespace {

using proto::Evidence;
using proto::Verdict;
using Lines = std::vector<std::string>;

constexpr size_t kLabelColumns = 11;
constexpr size_t kVictimsNamed = 16;
constexpr size_t kWaitLines = 11;
constexpr size_t kStackLines = 6;  // its GPUs among them
constexpr size_t kGpuLines = 2;
constexpr int kCircleNamed = 3;  // of those that wait for each other

void Append(const Lines& more, Lines& lines) {
  lines.insert(lines.end(), more.begin(), more.end());
}

/// "  logs     /path", continued below the text when it is long.
Lines Field(std::string_view label, std::string_view text, size_t limit) {
  Lines lines = WrapLine(text, kScreenColumns - kLabelColumns, limit);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string head = i == 0 ? "  " + std::string(label) : "";
    head.resize(kLabelColumns, ' ');
    lines[i] = head + lines[i];
  }
  return lines;
}

const Evidence* Find(const Verdict& verdict, Evidence::Kind kind) {
  for (const Evidence& evidence : verdict.evidence()) {
    if (evidence.kind() == kind && evidence.lines_size() > 0) return &evidence;
  }
  return nullptr;
}

/// Who waits for whom is in the evidence, edge by edge.
std::string CircleText(const Verdict& verdict) {
  std::string ranks, waits;
  const int named = std::min(verdict.culprits_size(), kCircleNamed);
  for (int i = 0; i < named; ++i) {
    const proto::Culprit& culprit = verdict.culprits(i);
    const std::string rank = std::to_string(culprit.rank());
    ranks += (i == 0 ? "" : ", ") + rank;
    waits += (i == 0 ? ": rank " : "; rank ") + rank + " " + culprit.why();
  }
  const int more = verdict.culprits_size() - named;
  if (more > 0) ranks += " and " + std::to_string(more) + " more";
  return "lockstep: ranks " + ranks + " wait for each other" + waits;
}

/// All wait in one op, and no rank is to blame.
bool IsStall(const Verdict& verdict) {
  return verdict.class_() == Verdict::LIBRARY_STALL && verdict.culprits_size() == 0;
}

std::string Headline(const Verdict& verdict) {
  if (IsStall(verdict))
    return "lockstep: all have come to " + verdict.op() + ", op " + std::to_string(verdict.seq()) +
           " of group " + verdict.group() + ", and nothing moves";
  if (verdict.culprits_size() == 0) {
    return "lockstep: " + (verdict.action_reason().empty() ? "no single rank is to blame"
                                                           : verdict.action_reason());
  }
  if (verdict.class_() == Verdict::CROSS_GROUP_DEADLOCK && verdict.culprits_size() > 1)
    return CircleText(verdict);
  const proto::Culprit& culprit = verdict.culprits(0);
  if (verdict.class_() == Verdict::NODE_LOST) return "lockstep: " + culprit.why();
  const bool is_plain = verdict.class_() == Verdict::LAUNCH_FAILED || verdict.confidence() != 0 ||
                        verdict.class_() == Verdict::MISSING_RANK;
  return "lockstep: rank " + std::to_string(culprit.rank()) + (is_plain ? " " : " failed first: ") +
         culprit.why();
}

std::string WhenText(const Verdict& verdict) {
  const base::Duration wall = std::chrono::seconds(verdict.observed_at().seconds()) +
                              std::chrono::nanoseconds(verdict.observed_at().nanos());
  std::string text = base::FormatUtc(base::WallTime(wall));
  if (verdict.has_round_age()) {
    text += ", " +
            base::FormatDuration(std::chrono::seconds(verdict.round_age().seconds()) +
                                 std::chrono::nanoseconds(verdict.round_age().nanos())) +
            " into round " + std::to_string(verdict.round());
  }
  return text + " of job " + verdict.job();
}

std::string WhereText(const proto::Culprit& culprit, int world_size) {
  const std::string rank =
      "rank " + std::to_string(culprit.rank()) + " of " + std::to_string(world_size);
  // Of another tool's evidence neither may be known.
  if (culprit.pid() == 0 && culprit.host().empty()) return rank;
  return (culprit.pid() != 0 ? "pid " + std::to_string(culprit.pid()) : std::string("no process")) +
         " on " + culprit.host() + ", " + rank;
}

std::string VictimsText(const Verdict& verdict) {
  std::string text = std::to_string(verdict.victims_size()) +
                     (verdict.victims_size() == 1 ? ": rank " : ": ranks ");
  const auto named = std::min<size_t>(kVictimsNamed, static_cast<size_t>(verdict.victims_size()));
  for (size_t i = 0; i < named; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(verdict.victims(static_cast<int>(i)));
  }
  return named < static_cast<size_t>(verdict.victims_size()) ? text + " ..." : text;
}

std::string NextText(const Verdict& verdict) {
  if (verdict.action() != Verdict::END_JOB) return verdict.action_reason();
  const std::string status = "the job ends with exit status " + std::to_string(verdict.exit_code());
  // Of a stopped job the headline has told the reason.
  return verdict.culprits_size() == 0 && !IsStall(verdict)
             ? status
             : status + ": " + verdict.action_reason();
}

/// The last words of the rank that failed first, as many as there is room for: its stderr, or the
/// traceback of its error file.
Lines LastWords(const Verdict& verdict, size_t limit) {
  const Evidence* said = Find(verdict, Evidence::STDERR);
  std::string title = "last lines of its stderr:";
  if (said != nullptr && said->has_rank() && verdict.culprits_size() > 0 &&
      said->rank() != verdict.culprits(0).rank()) {
    title = "last lines of the stderr of rank " + std::to_string(said->rank()) +
            ", which failed first:";
  }
  int first = 0;
  if (said == nullptr) {
    said = Find(verdict, Evidence::ERROR_FILE);
    title = "where, by its error file:";
    first = 1;  // the message has its own field
  }
  if (said == nullptr || said->lines_size() <= first || limit < 2) return {};
  first = std::max(first, said->lines_size() - static_cast<int>(limit - 1));
  Lines lines = {"  " + title};
  for (int i = first; i < said->lines_size(); ++i) {
    lines.push_back("  | " + ClipLine(CleanText(said->lines(i)), kScreenColumns - 4));
  }
  return lines;
}

/// A line of evidence ends with where a call was made, " at train.cc:67": what is too long for one
/// line of the screen goes on in the next.
Lines Wrapped(const std::string& clean) {
  Lines lines = WrapLine(clean, kScreenColumns - 4, 2);
  lines[0] = "  | " + lines[0];
  if (lines.size() > 1) lines[1] = "  |   " + ClipLine(lines[1], kScreenColumns - 6);
  return lines;
}

/// What ranks wait in, as many lines as there is room for.
Lines Waits(const Verdict& verdict, size_t limit) {
  const Evidence* const waits = Find(verdict, Evidence::WAITS);
  if (waits == nullptr || limit < 2) return {};
  Lines lines = {"  by the ranks' recorders and processes:"};
  for (const std::string& line : waits->lines()) {
    const Lines more = Wrapped(CleanText(line));
    if (lines.size() + more.size() > limit) break;
    Append(more, lines);
  }
  return lines.size() > 1 ? lines : Lines{};
}

/// Where the one to blame stands, as many calls as there is room for; and its GPUs.
Lines Stack(const Verdict& verdict, size_t limit) {
  const Evidence* const stack = Find(verdict, Evidence::STACK);
  if (stack == nullptr || limit < 2) return {};
  Lines gpus;
  const Evidence* const seen = Find(verdict, Evidence::GPU);
  if (seen != nullptr && seen->rank() == stack->rank()) {
    for (const std::string& line : seen->lines()) {
      if (gpus.size() == kGpuLines || gpus.size() + 2 == limit) break;
      gpus.push_back("  | " + ClipLine(CleanText(line), kScreenColumns - 4));
    }
  }
  Lines lines = {"  where rank " + std::to_string(stack->rank()) + " stands:"};
  for (const std::string& line : stack->lines()) {
    if (lines.size() + gpus.size() == limit) break;
    lines.push_back("  | " + ClipLine(CleanText(line), kScreenColumns - 4));
  }
  Append(gpus, lines);
  return lines;
}

}  // namespace

std::string RenderVerdict(const Verdict& verdict) {
  Lines top = WrapLine(CleanText(Headline(verdict)), kScreenColumns, 3);
  if (verdict.has_observed_at()) Append(Field("when", CleanText(WhenText(verdict)), 2), top);
  if (verdict.culprits_size() > 0) {
    Append(Field("where", CleanText(WhereText(verdict.culprits(0), verdict.world_size())), 2), top);
  }
  if (const Evidence* error = Find(verdict, Evidence::ERROR_FILE)) {
    Append(Field("error", CleanText(error->lines(0)), 2), top);
  }

  Lines bottom;
  if (verdict.victims_size() > 0) Append(Field("victims", VictimsText(verdict), 1), bottom);
  if (const Evidence* teardown = Find(verdict, Evidence::TEARDOWN)) {
    Append(Field("teardown", CleanText(teardown->lines(0)), 2), bottom);
  }
  if (!verdict.log_directory().empty())
    Append(Field("logs", CleanText(verdict.log_directory()), 3), bottom);
  if (!verdict.advice().empty()) Append(Field("advice", CleanText(verdict.advice()), 2), bottom);
  if (verdict.action() != Verdict::ACTION_UNSPECIFIED)
    Append(Field("next", CleanText(NextText(verdict)), 2), bottom);

  const size_t room = kScreenLines - top.size() - bottom.size();
  const Lines stack = Stack(verdict, std::min(room, kStackLines));
  Append(Waits(verdict, std::min(room - stack.size(), kWaitLines)), top);
  Append(stack, top);
  Append(LastWords(verdict, kScreenLines - top.size() - bottom.size()), top);
  Append(bottom, top);
  std::string screen;
  for (const std::string& line : top) screen += line + "\n";
  return screen;
}

}  // namespace lockstep::launcher
