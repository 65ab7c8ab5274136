// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/telemetry/event_json.h"

namespace lockstep::telemetry {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

void SetTime(const base::Clock& clock, proto::Event* event) {
  const int64_t wall_ns = clock.WallNow().time_since_epoch().count();
  event->mutable_time()->set_seconds(wall_ns / kNanosPerSecond);
  event->mutable_time()->set_nanos(static_cast<int32_t>(wall_ns % kNanosPerSecond));
  event->set_steady_ns(clock.Now().time_since_epoch().count());
}

}  // namespace

EventLog::EventLog(Options options, event::Loop& loop)
    : options_(std::move(options)), loop_(loop) {}

EventLog::~EventLog() { Flush(); }

void EventLog::Append(base::Round round, proto::Event event) {
  seq_.AssertHeld();
  if (pending_.size() >= options_.pending_events_max) {
    Drop(1, base::ResourceExhaustedError("log an event: " + std::to_string(pending_.size()) +
                                         " are waiting already, the most that are kept"));
    return;
  }
  SetTime(loop_.clock(), &event);
  event.set_job_id(options_.job_id);
  event.set_host(options_.host);
  event.set_round(round.value());
  pending_.push_back(std::move(event));
  if (!flush_.active()) flush_ = loop_.After(options_.flush_delay, [this] { Flush(); });
}

void EventLog::Flush() {
  seq_.AssertHeld();
  flush_.reset();
  if (pending_.empty()) return;
  std::string lines;
  if (dropped_unsaid_ > 0) lines = DroppedLine();
  for (const proto::Event& event : pending_) lines.append(EventJson(event)).push_back('\n');
  const base::Status written = WriteLines(lines);
  if (written.ok()) {
    dropped_unsaid_ = 0;
  } else {
    Drop(pending_.size(), written);
  }
  pending_.clear();
}

std::string EventLog::DroppedLine() const {
  proto::Event event;
  SetTime(loop_.clock(), &event);
  event.set_job_id(options_.job_id);
  event.set_host(options_.host);
  event.mutable_events_dropped()->set_count(dropped_unsaid_);
  event.mutable_events_dropped()->set_error(last_error_.ToString());
  return EventJson(event) + "\n";
}

base::Status EventLog::WriteLines(std::string_view lines) {
  if (written_bytes_ + lines.size() > options_.file_bytes_max) {
    return base::ResourceExhaustedError("write " + options_.path +
                                        ": it would grow over its limit of " +
                                        std::to_string(options_.file_bytes_max) + " bytes");
  }
  if (!fd_.valid()) {
    fd_.reset(::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!fd_.valid()) return base::ErrnoStatus(errno, "open " + options_.path);
  }
  // After a write that was cut short, a newline first: only that one line is lost.
  const std::string whole = torn_line_ ? "\n" + std::string(lines) : std::string();
  const std::string_view bytes = torn_line_ ? std::string_view(whole) : lines;
  const ssize_t count = ::write(fd_.get(), bytes.data(), bytes.size());
  if (count < 0) return base::ErrnoStatus(errno, "write " + options_.path);
  written_bytes_ += static_cast<uint64_t>(count);
  torn_line_ = static_cast<size_t>(count) < bytes.size();
  if (torn_line_) {
    return base::ResourceExhaustedError(
        "write " + options_.path + ": only " + std::to_string(count) + " of " +
        std::to_string(bytes.size()) + " bytes were taken; the disk is full");
  }
  return base::OkStatus();
}

void EventLog::Drop(uint64_t count, base::Status why) {
  dropped_total_ += count;
  dropped_unsaid_ += count;
  last_error_ = std::move(why);
  if (std::exchange(trouble_told_, true) || !options_.on_trouble) return;
  tell_ =
      loop_.After(base::Duration(0), [this, first = last_error_] { options_.on_trouble(first); });
}

}  // namespace lockstep::telemetry
