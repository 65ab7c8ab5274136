// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/live_screen.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kDrawTime = 1s;
constexpr base::Duration kLeaveTime = 300ms;
constexpr size_t kPendingMax = 64;

// Sequences of ECMA-48 and xterm, which every terminal emulator of today knows.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l";  // screen, cursor, no wrapping
constexpr std::string_view kLeave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr std::string_view kToCorner = "\x1b[H";
constexpr std::string_view kClearLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";

constexpr int kHandled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};

std::string_view StyleText(TopStyle style) {
  switch (style) {
    case TopStyle::kPlain: return "";
    case TopStyle::kBold: return "\x1b[1m";
    case TopStyle::kReverse: return "\x1b[7m";
    case TopStyle::kAlert: return "\x1b[1;31m";
  }
  return "";
}

int MillisecondsUntil(base::SteadyTime deadline, base::SteadyTime now) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

struct KeyText {
  std::string_view text;
  ScreenEvent event;
};

constexpr KeyText kKeys[] = {
    {"q", ScreenEvent::kQuit},
    {"Q", ScreenEvent::kQuit},
    {"\x03", ScreenEvent::kQuit},
    {"k", ScreenEvent::kUp},
    {"j", ScreenEvent::kDown},
    {"b", ScreenEvent::kPageUp},
    {" ", ScreenEvent::kPageDown},
    {"g", ScreenEvent::kHome},
    {"G", ScreenEvent::kEnd},
    {"\x1b[A", ScreenEvent::kUp},
    {"\x1b[B", ScreenEvent::kDown},
    {"\x1bOA", ScreenEvent::kUp},
    {"\x1bOB", ScreenEvent::kDown},
    {"\x1b[5~", ScreenEvent::kPageUp},
    {"\x1b[6~", ScreenEvent::kPageDown},
    {"\x1b[H", ScreenEvent::kHome},
    {"\x1b[F", ScreenEvent::kEnd},
    {"\x1b[1~", ScreenEvent::kHome},
    {"\x1b[4~", ScreenEvent::kEnd},
};

/// Bytes of an escape sequence at the beginning of `text`; 0: its end has not come yet.
size_t SequenceBytes(std::string_view text) {
  if (text.size() < 2) return 0;
  if (text[1] != '[' && text[1] != 'O') return 1;  // the key Escape, and another one
  for (size_t i = 2; i < text.size(); ++i) {
    if (text[i] >= '@' && text[i] <= '~') return i + 1;
  }
  return text.size() < kPendingMax ? 0 : text.size();
}

}  // namespace

ScreenEvent TakeKey(std::string& pending) {
  while (!pending.empty()) {
    const size_t bytes = pending[0] == '\x1b' ? SequenceBytes(pending) : 1;
    if (bytes == 0) return ScreenEvent::kNothing;
    const std::string key = pending.substr(0, bytes);
    pending.erase(0, bytes);
    const auto* const known = std::find_if(std::begin(kKeys), std::end(kKeys),
                                           [&](const KeyText& k) { return k.text == key; });
    if (known != std::end(kKeys)) return known->event;
  }
  return ScreenEvent::kNothing;
}

LiveScreen::LiveScreen(base::UniqueFd terminal, const base::Clock& clock)
    : terminal_(std::move(terminal)), clock_(clock) {}

base::Result<std::unique_ptr<LiveScreen>> LiveScreen::Open(int fd, const base::Clock& clock) {
  char name[256];
  if (::isatty(fd) == 0 || ::ttyname_r(fd, name, sizeof name) != 0)
    return base::FailedPreconditionError("standard output is no terminal");
  base::UniqueFd terminal(::open(name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!terminal.valid()) return base::ErrnoStatus(errno, "open the terminal " + std::string(name));
  std::unique_ptr<LiveScreen> screen(new LiveScreen(std::move(terminal), clock));
  RETURN_IF_ERROR(screen->Start());
  return screen;
}

base::Status LiveScreen::Start() {
  if (::tcgetattr(terminal_.get(), &modes_before_) != 0)
    return base::ErrnoStatus(errno, "ask the terminal for its modes");
  ::sigemptyset(&handled_);
  for (const int signal : kHandled) {
    struct sigaction action{};
    ::sigaction(signal, nullptr, &action);
    // A blocked signal is queued even when it is ignored (nohup).
    if (action.sa_handler != SIG_IGN) ::sigaddset(&handled_, signal);
  }
  signals_.reset(::signalfd(-1, &handled_, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return base::ErrnoStatus(errno, "watch signals");
  ::sigprocmask(SIG_BLOCK, &handled_, &mask_before_);
  Enter();
  return base::OkStatus();
}

LiveScreen::~LiveScreen() {
  if (!is_entered_) return;
  Leave();
  ::sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
}

void LiveScreen::Enter() {
  termios modes = modes_before_;
  modes.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // Ctrl-C and Ctrl-Z stay signals
  modes.c_cc[VMIN] = 1;
  modes.c_cc[VTIME] = 0;
  ::tcsetattr(terminal_.get(), TCSANOW, &modes);
  is_entered_ = true;
  Write(kEnter, kDrawTime, true);
}

void LiveScreen::Leave() {
  Write(kLeave, kLeaveTime, false);
  // Not TCSADRAIN: a terminal that takes nothing would hold us.
  ::tcsetattr(terminal_.get(), TCSANOW, &modes_before_);
}

/// As the signal that was taken would have done.
void LiveScreen::Suspend() {
  Leave();
  ::kill(::getpid(), SIGSTOP);
  // Not what modes it has now: in the background (bg) they are those in which a shell edits a line.
  Enter();
}

LiveScreen::Size LiveScreen::size() const {
  winsize size{};
  if (::ioctl(terminal_.get(), TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
    return {};
  return {.rows = size.ws_row, .columns = size.ws_col};
}

void LiveScreen::Draw(const std::vector<TopLine>& lines) {
  std::string text(kToCorner);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) text += "\r\n";
    const std::string_view style = StyleText(lines[i].style);
    text.append(style).append(lines[i].text);
    if (!style.empty()) text += "\x1b[0m";
    text += kClearLine;
  }
  text += kClearBelow;
  Write(text, kDrawTime, true);
}

bool LiveScreen::Write(std::string_view text, base::Duration at_most, bool until_signal) {
  const base::SteadyTime deadline = clock_.Now() + at_most;
  while (!text.empty()) {
    const ssize_t written = ::write(terminal_.get(), text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (written < 0 && errno != EAGAIN && errno != EINTR) return false;
    const int wait = MillisecondsUntil(deadline, clock_.Now());
    if (wait == 0) return false;
    pollfd fds[] = {{terminal_.get(), POLLOUT, 0}, {signals_.get(), POLLIN, 0}};
    ::poll(fds, until_signal ? 2 : 1, wait);
    if (until_signal && fds[1].revents != 0) return false;  // Await tells which
  }
  return true;
}

ScreenEvent LiveScreen::ReadSignal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return ScreenEvent::kNothing;
  if (info.ssi_signo == SIGWINCH) return ScreenEvent::kResize;
  if (info.ssi_signo != SIGTSTP) return ScreenEvent::kQuit;
  Suspend();
  return ScreenEvent::kResize;
}

/// False: the terminal is gone.
bool LiveScreen::ReadKeys() {
  char bytes[kPendingMax];
  const ssize_t count = ::read(terminal_.get(), bytes, sizeof bytes);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;
  pending_.append(bytes, static_cast<size_t>(count));
  return true;
}

ScreenEvent LiveScreen::Await(base::SteadyTime deadline) {
  while (true) {
    if (const ScreenEvent key = TakeKey(pending_); key != ScreenEvent::kNothing) return key;
    pollfd fds[] = {{terminal_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    const int ready = ::poll(fds, 2, MillisecondsUntil(deadline, clock_.Now()));
    if (ready > 0 && fds[1].revents != 0) {
      if (const ScreenEvent event = ReadSignal(); event != ScreenEvent::kNothing) return event;
    }
    if (ready > 0 && fds[0].revents != 0 && !ReadKeys()) return ScreenEvent::kQuit;
    if (clock_.Now() >= deadline) return ScreenEvent::kNothing;
  }
}

}  // namespace lockstep::launcher
