// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/show_top.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

#include "launcher/verbs/ask_agent.h"
#include "launcher/verbs/live_screen.h"
#include "launcher/verbs/show_status.h"
#include "launcher/verbs/top_frame.h"
#include "launcher/verbs/verb_text.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kRefresh = 1s;
constexpr base::Duration kFirstAnswerLimit = 5s;
// While it is awaited no key is read.
constexpr base::Duration kAnswerLimit = 1s;
constexpr size_t kColumns = 1000;  // where there is no terminal: as many as there are

std::string ClockText(const VerbContext& context) {
  const auto since_epoch = context.clock.WallNow().time_since_epoch();
  const time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
  tm local{};
  ::localtime_r(&seconds, &local);
  char text[16];
  return std::string(text, ::strftime(text, sizeof text, "%H:%M:%S", &local));
}

base::Status PrintJson(const VerbContext& context, const proto::StatusReply& status) {
  ASSIGN_OR_RETURN(const std::string json, ToJson(status));
  std::fprintf(context.out, "%s\n", json.c_str());
  // Whoever reads lines wants each when it is made.
  if (std::fflush(context.out) != 0)
    return CannotWrite(base::UnavailableError("print the status of " + status.job_id()));
  return base::OkStatus();
}

void PrintFrame(const VerbContext& context, const proto::StatusReply& status) {
  winsize size{};
  const bool is_terminal = ::ioctl(::fileno(context.out), TIOCGWINSZ, &size) == 0;
  const TopView view{.columns = is_terminal && size.ws_col > 0 ? size.ws_col : kColumns,
                     .clock = ClockText(context)};
  for (const TopLine& line : RenderTop(status, view).lines)
    std::fprintf(context.out, "%s\n", line.text.c_str());
}

/// Until it has ended, or somebody no longer reads.
base::Status FollowAsJson(const VerbContext& context, const JobEntry& job,
                          proto::StatusReply status) {
  while (true) {
    RETURN_IF_ERROR(PrintJson(context, status));
    ::poll(nullptr, 0, static_cast<int>(kRefresh / 1ms));
    base::Result<proto::StatusReply> reply =
        AskStatus(context, job, kFirstAnswerLimit, /*live=*/true);
    if (!reply.ok()) return NobodyListens(reply.status()) ? base::OkStatus() : reply.status();
    status = *std::move(reply);
  }
}

/// What the user sees, and where in it he is.
class TopLoop {
 public:
  TopLoop(const VerbContext& context, const JobEntry& job, proto::StatusReply status)
      : context_(context), job_(job), status_(std::move(status)) {}

  /// Whether the job has ended, and not the user left.
  bool Run(LiveScreen& screen) {
    base::SteadyTime due = context_.clock.Now() + kRefresh;
    while (true) {
      Draw(screen);
      const ScreenEvent event = screen.Await(due);
      if (event == ScreenEvent::kQuit) return false;
      if (event != ScreenEvent::kNothing) {
        Scroll(event);
        continue;
      }
      if (!Refresh()) return true;
      due = context_.clock.Now() + kRefresh;
    }
  }

 private:
  void Draw(LiveScreen& screen) {
    const LiveScreen::Size size = screen.size();
    const TopFrame frame = RenderTop(status_, {.columns = size.columns,
                                               .rows = size.rows,
                                               .first_row = first_row_,
                                               .clock = ClockText(context_),
                                               .note = note_});
    first_row_ = frame.first_row;
    page_ = std::max(frame.rows_shown, 1);
    screen.Draw(frame.lines);
  }

  void Scroll(ScreenEvent event) {
    switch (event) {
      case ScreenEvent::kUp: first_row_ -= 1; break;
      case ScreenEvent::kDown: first_row_ += 1; break;
      case ScreenEvent::kPageUp: first_row_ -= page_; break;
      case ScreenEvent::kPageDown: first_row_ += page_; break;
      case ScreenEvent::kHome: first_row_ = 0; break;
      case ScreenEvent::kEnd: first_row_ = status_.ranks_size(); break;
      case ScreenEvent::kNothing:
      case ScreenEvent::kQuit:
      case ScreenEvent::kResize: break;
    }
  }

  /// False when there is nobody to ask any more.
  bool Refresh() {
    base::Result<proto::StatusReply> reply = AskStatus(context_, job_, kAnswerLimit, /*live=*/true);
    if (reply.ok()) {
      status_ = *std::move(reply);
      note_.clear();
      return true;
    }
    if (NobodyListens(reply.status())) return false;
    note_ = "no answer at " + ClockText(context_) + ": " + Printable(reply.status().message());
    return true;
  }

  const VerbContext& context_;
  const JobEntry& job_;
  proto::StatusReply status_;
  std::string note_;
  int first_row_ = 0;
  int page_ = 1;
};

}  // namespace

base::Status ShowTop(const VerbContext& context, const ShowTopOptions& options) {
  ASSIGN_OR_RETURN(const JobEntry job, OpenStore(context).Find(options.job));
  if (job.condition != JobCondition::kLive)
    return base::NotFoundError("look at " + job.id + ": it does not run; `lockstep status " +
                               job.id + "` says what became of it");
  ASSIGN_OR_RETURN(proto::StatusReply status,
                   AskStatus(context, job, kFirstAnswerLimit, /*live=*/true));
  if (options.json)
    return options.once ? PrintJson(context, status)
                        : FollowAsJson(context, job, std::move(status));
  if (options.once || ::isatty(::fileno(context.out)) == 0) {
    PrintFrame(context, status);
    return base::OkStatus();
  }
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<LiveScreen> screen,
                     LiveScreen::Open(::fileno(context.out), context.clock));
    if (!TopLoop(context, job, std::move(status)).Run(*screen)) return base::OkStatus();
  }
  return ShowStatus(context, {.job = job.id});
}

}  // namespace lockstep::launcher
