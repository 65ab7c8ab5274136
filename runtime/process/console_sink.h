// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_CONSOLE_SINK_H_
#define LOCKSTEP_RUNTIME_PROCESS_CONSOLE_SINK_H_

#include <cstdint>
#include <string_view>

namespace lockstep::process {

/// Takes an OutputPump's console lines in the place of a terminal. It makes nobody wait: lines that
/// come while it has no room are lost, and counted. Owned by whoever made the pump, and outlives
/// it. All calls come on the loop's thread; none blocks or calls the pump.
class ConsoleSink {
 public:
  virtual ~ConsoleSink() = default;
  /// Whether Take() would keep anything. While not, the pump does not even make lines.
  virtual bool HasRoom(bool is_stderr) const = 0;
  /// Whole lines, each with its prefix and its end.
  virtual void Take(bool is_stderr, std::string_view lines) = 0;
  /// Of so many lines there was no room for.
  virtual void CountDropped(uint64_t lines) = 0;
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_CONSOLE_SINK_H_
