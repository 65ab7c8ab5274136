// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_OUTPUT_LINES_H_
#define LOCKSTEP_RUNTIME_PROCESS_OUTPUT_LINES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep::process {

/// How many line ends the text has.
uint64_t CountLines(std::string_view text);

/// Cuts one stream's bytes into the lines that the console shows, each with the stream's prefix and
/// a newline. One per captured stream, owned by its reader; a value without threads.
///
/// - A line ends at "\n" or "\r\n"; unfinished ones are held back until their end comes, or the
/// stream's.
/// - Text that "\r" overwrites (a progress bar) is what a terminal would lose: only what follows
/// the last "\r" of a line
///   is shown. Until the line's end comes, TakeProgress() gives the newest state of the bar as a
///   line of its own.
/// - A line longer than kLineBytesMax is shown in pieces; each piece but the first begins with
/// kContinuation.
class OutputLines {
 public:
  static constexpr size_t kLineBytesMax = size_t{64} << 10;
  static constexpr std::string_view kContinuation = "... ";

  explicit OutputLines(std::string prefix) : prefix_(std::move(prefix)) {}

  /// Takes bytes and appends the lines that they finish to `out`.
  void Feed(std::string_view bytes, std::string* out);
  /// As Feed(), of lines that nobody wants: returns how many it would have appended. Much cheaper.
  /// Of the bytes' lines, one that is longer than kLineBytesMax may count once, whatever its
  /// pieces.
  uint64_t Skip(std::string_view bytes);
  /// A progress state stands there that TakeProgress() has not given yet.
  bool has_progress() const { return !progress_.empty(); }
  void TakeProgress(std::string* out);
  /// The stream has ended: appends what is held back, with a newline.
  void Finish(std::string* out);

  /// Bytes held back: at most 2 x kLineBytesMax.
  size_t held_bytes() const { return unfinished_.size() + progress_.size(); }

 private:
  void FeedLine(std::string_view line, std::string* out);
  void Hold(std::string_view bytes, std::string* out);
  void Emit(std::string_view text, std::string* out);

  const std::string prefix_;
  std::string unfinished_;  // of the current line, from its last "\r" on
  std::string progress_;    // the last state that a "\r" replaced, until it is shown
  bool continues_ = false;  // a piece of the current line has been shown
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_OUTPUT_LINES_H_
