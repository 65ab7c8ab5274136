// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_LIVE_SCREEN_H_
#define LOCKSTEP_LAUNCHER_VERBS_LIVE_SCREEN_H_

#include <signal.h>
#include <termios.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/verbs/top_frame.h"
#include "runtime/base/clock.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {

/// What the user, or the terminal, wants.
enum class ScreenEvent : uint8_t {
  kNothing,  // the time is over
  kQuit,     // q, a signal that asks for an end, or the terminal is gone
  kResize,   // or the screen came back (fg): draw it anew
  kUp,
  kDown,
  kPageUp,
  kPageDown,
  kHome,
  kEnd,
};

/// Takes the first key off `pending`, what was typed and not read yet; kNothing: there is none that
/// means something, and what is left may be the beginning of one. Pure; any thread.
ScreenEvent TakeKey(std::string& pending);

/// The whole of a terminal, for as long as this lives: the alternate screen without a cursor, keys
/// as they are typed, and the signals that end, stop or resize a program. The destructor puts all
/// of it back as it was; after SIGKILL `reset` does. Whoever does not read its terminal (Ctrl-S)
/// keeps nobody from ending this. One per process, on its main thread before there are others.
class LiveScreen {
 public:
  struct Size {
    size_t rows = 24;
    size_t columns = 80;
  };

  /// Of the terminal behind `fd`, which stays the caller's. Errors: FailedPrecondition - it is
  /// none; errno's.
  static base::Result<std::unique_ptr<LiveScreen>> Open(int fd, const base::Clock& clock);
  ~LiveScreen();
  LiveScreen(const LiveScreen&) = delete;
  LiveScreen& operator=(const LiveScreen&) = delete;

  Size size() const;
  /// From the upper left corner on; what is below it is cleared. Gives up when the terminal takes
  /// nothing for a second.
  void Draw(const std::vector<TopLine>& lines);
  /// The next event; kNothing at the deadline.
  ScreenEvent Await(base::SteadyTime deadline);

 private:
  LiveScreen(base::UniqueFd terminal, const base::Clock& clock);
  base::Status Start();
  void Enter();
  void Leave();
  void Suspend();
  /// False when it has not taken all of it in time, or somebody asks for the end.
  bool Write(std::string_view text, base::Duration at_most, bool until_signal);
  ScreenEvent ReadSignal();
  bool ReadKeys();

  const base::UniqueFd terminal_;  // opened anew: not to block is not to be the shell's affair
  const base::Clock& clock_;
  base::UniqueFd signals_;
  sigset_t handled_{};
  sigset_t mask_before_{};
  termios modes_before_{};
  std::string pending_;  // typed, and not understood yet
  bool is_entered_ = false;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_LIVE_SCREEN_H_
