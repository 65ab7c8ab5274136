// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_OUTPUT_SERVICE_H_
#define LOCKSTEP_LAUNCHER_AGENT_OUTPUT_SERVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "launcher/agent/file_reader.h"
#include "launcher/agent/job_record.h"
#include "launcher/cluster/questions.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/sequence.h"
#include "runtime/event/loop.h"
#include "runtime/proto/control.pb.h"
#include "runtime/topology/world.h"

namespace lockstep::launcher {

/// Readers of logs who follow (`lockstep logs -f`), as one agent sees them by the requests that
/// come or pass through: at the end of the job it stays until they have been told so. Confined to
/// the loop's thread.
class OutputFollowers {
 public:
  static constexpr size_t kMax = 256;                                   // more are not waited for
  static constexpr base::Duration kPatience = std::chrono::seconds(1);  // with a silent one

  explicit OutputFollowers(event::Loop& loop) : loop_(loop) {}

  /// An answer is on its way to its asker.
  void Note(const proto::ReadOutputRequest& request, const proto::ControlReply& reply);
  /// Calls `done` when none is left, after `timeout` at the latest; not from within.
  void AwaitNone(base::Duration timeout, std::function<void()> done);

 private:
  void Check();

  event::Loop& loop_;
  base::Sequence seq_;
  std::map<std::pair<uint64_t, int32_t>, base::SteadyTime> seen_at_;  // by follower and node
  base::SteadyTime give_up_at_{};
  std::function<void()> done_;
  event::Registration check_;
};

/// Answers ReadOutputRequests out of the files of this node's ranks. One per agent. Confined to the
/// loop's thread.
class OutputService {
 public:
  static constexpr size_t kPositionsMax = 64;
  static constexpr uint32_t kBytesMax = 256 << 10;  // of one answer

  /// `ledger`: of the rotations of this node's files.
  OutputService(const JobRecord& record, std::shared_ptr<const process::RotationLedger> ledger,
                event::Loop& loop)
      : record_(record), reader_(std::move(ledger), loop), followers_(loop) {}

  /// Which of the job's ranks are of this node.
  void SetWorld(const topology::WorldSpec& world, base::NodeIndex self);
  void SetRound(base::Round round) { round_ = round; }
  /// The job is over, and everything that its ranks here have written is in the files.
  void SetComplete() { complete_ = true; }

  bool IsHere(const proto::ReadOutputRequest& request) const {
    return request.node() == self_.value();
  }
  /// Calls `answer` once, later. Errors: InvalidArgument, OutOfRange - no such rank here, no such
  /// round, too many positions; else as FileReader.
  void Answer(const proto::ReadOutputRequest& request, OnAnswer answer);

  OutputFollowers& followers() { return followers_; }

 private:
  base::Result<std::vector<FileReader::Part>> PartsOf(
      const proto::ReadOutputRequest& request) const;

  const JobRecord& record_;
  base::NodeIndex self_{-1};
  std::vector<topology::RankPlace> places_;  // of every rank of the job
  base::Round round_;
  bool complete_ = false;
  FileReader reader_;
  OutputFollowers followers_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_AGENT_OUTPUT_SERVICE_H_
