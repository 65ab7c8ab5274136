// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_SIDE_WRITER_H_
#define LOCKSTEP_LAUNCHER_AGENT_SIDE_WRITER_H_

#include <chrono>
#include <functional>
#include <memory>

#include "runtime/base/clock.h"
#include "runtime/base/sequence.h"
#include "runtime/base/status.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher {

/// Writes files that are large on a thread of its own ("evidence"): the folder may be on a server
/// that is slow or hangs, and the loop holds the node's lease. One writing at a time, so that there
/// is one such thread at most. Of one JobRecord, owned by it; confined to the loop's thread. A
/// writing that hangs outlives this object without touching anything of it.
class SideWriter {
 public:
  /// Called on the thread; what it uses it owns, or outlives the job.
  using Write = std::function<base::Status()>;
  using OnTrouble = std::function<void(const base::Status& why)>;

  /// `on_trouble` is told on the loop's thread, later, of a writing that has failed.
  SideWriter(event::Loop& loop, OnTrouble on_trouble);
  /// Waits for the writing in progress, kEndLimit at most.
  ~SideWriter();
  SideWriter(const SideWriter&) = delete;
  SideWriter& operator=(const SideWriter&) = delete;

  /// Where no thread can be made, writes within the call. Errors: DeadlineExceeded - the last
  /// writing has not ended, and this one is dropped; where it writes within the call, that one's.
  base::Status Start(Write write);
  bool IsBusy() const;
  /// Waits until nothing is being written. Whether that is so, in that time.
  bool Await(base::Duration at_most) const;

  static constexpr base::Duration kEndLimit = std::chrono::seconds(10);

 private:
  struct Shared;

  base::Sequence seq_;
  const std::shared_ptr<Shared> shared_;  // with the thread, which may have to be left behind
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_SIDE_WRITER_H_
