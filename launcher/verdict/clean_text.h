// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERDICT_CLEAN_TEXT_H_
#define LOCKSTEP_LAUNCHER_VERDICT_CLEAN_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// Text that a rank wrote, made fit for a terminal and for JSON. Pure functions, for any thread.
namespace lockstep::launcher {

/// Valid UTF-8 without control characters: a tab becomes a space; '?' stands for each byte that is
/// no UTF-8 and for each control or text-direction character (a rank's output must not drive the
/// terminal that shows it). Newlines stay.
std::string CleanText(std::string_view text);

/// Code points: what a terminal shows as columns, but for wide and combining characters.
size_t ColumnsOf(std::string_view clean);

/// `clean` without newlines, cut to `columns` with "..." in place of what is missing.
std::string ClipLine(std::string_view clean, size_t columns);

/// `clean` over at most `lines` lines of `columns`, broken at spaces where there are any; the last
/// is clipped.
std::vector<std::string> WrapLine(std::string_view clean, size_t columns, size_t lines);

/// Non-empty lines of `clean`.
std::vector<std::string> LinesOf(std::string_view clean);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERDICT_CLEAN_TEXT_H_
