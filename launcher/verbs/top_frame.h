// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_TOP_FRAME_H_
#define LOCKSTEP_LAUNCHER_VERBS_TOP_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

enum class TopStyle : uint8_t { kPlain, kBold, kReverse, kAlert };

struct TopLine {
  std::string text;  // printable, and no wider than the screen
  TopStyle style = TopStyle::kPlain;
};

struct TopView {
  size_t columns = 100;
  size_t rows = 0;    // 0: as many as there is to show
  int first_row = 0;  // of the ranks' rows, the first that is shown; as near as there are rows
  std::string clock;  // "16:20:11"
  std::string note;   // to the user, in the last line; "" = which keys there are
};

struct TopFrame {
  std::vector<TopLine> lines;
  int first_row = 0;   // that is shown
  int rows_shown = 0;  // of ranks
};

/// What `lockstep top` shows of a job: the job, what is slow, the groups, and a row for each rank.
/// Whoever is slow is marked with '*', and who has been waited for for a second with '>'. On a
/// screen that is too small for all, ranks get at least half of it. Pure; any thread.
TopFrame RenderTop(const proto::StatusReply& status, const TopView& view);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_TOP_FRAME_H_
