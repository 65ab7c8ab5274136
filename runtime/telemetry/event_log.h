// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TELEMETRY_EVENT_LOG_H_
#define LOCKSTEP_RUNTIME_TELEMETRY_EVENT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/sequence.h"
#include "runtime/base/status.h"
#include "runtime/base/thread_annotations.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/proto/event.pb.h"

namespace lockstep::telemetry {

/// The facts of a job as JSON lines (event.proto), appended to one file. One per agent, owned by
/// it. Appending costs a move; lines are made and written `flush_delay` later, off the path on
/// which ranks are launched.
///
/// It never fails the job: what cannot be written is counted, `on_trouble` says so once, and an
/// EventsDropped line follows when writing works again. Confined to the loop's thread. Not synced
/// to disk.
class EventLog {
 public:
  struct Options {
    std::string path;    // created with mode 0600 at the first write; existing lines are kept
    std::string job_id;  // stamped on each event
    std::string host;
    base::Duration flush_delay = std::chrono::milliseconds(20);
    size_t pending_events_max = 1024;              // waiting to be written; one more is dropped
    uint64_t file_bytes_max = uint64_t{64} << 20;  // written by this object; more is dropped
    std::function<void(base::Status)> on_trouble;  // once, never inside Append(); may be null
  };

  EventLog(Options options, event::Loop& loop);
  /// Writes what is pending.
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// Stamps `event` with time, job, host and `round`, and queues it.
  void Append(base::Round round, proto::Event event);
  /// Writes what is pending, now. Blocks: for the file system.
  void Flush();

  uint64_t dropped_total() const {
    seq_.AssertHeld();
    return dropped_total_;
  }

 private:
  std::string DroppedLine() const REQUIRES(seq_);
  base::Status WriteLines(std::string_view lines) REQUIRES(seq_);
  void Drop(uint64_t count, base::Status why) REQUIRES(seq_);

  const Options options_;
  event::Loop& loop_;

  base::Sequence seq_;
  std::vector<proto::Event> pending_ GUARDED_BY(seq_);
  base::UniqueFd fd_ GUARDED_BY(seq_);
  uint64_t written_bytes_ GUARDED_BY(seq_) = 0;
  uint64_t dropped_total_ GUARDED_BY(seq_) = 0;
  uint64_t dropped_unsaid_ GUARDED_BY(seq_) = 0;  // not yet told by an EventsDropped line
  base::Status last_error_ GUARDED_BY(seq_);
  bool torn_line_ GUARDED_BY(seq_) = false;  // the last write ended within a line
  bool trouble_told_ GUARDED_BY(seq_) = false;
  event::Registration flush_ GUARDED_BY(seq_);
  event::Registration tell_ GUARDED_BY(seq_);
};

}  // namespace lockstep::telemetry

#endif  // LOCKSTEP_RUNTIME_TELEMETRY_EVENT_LOG_H_
