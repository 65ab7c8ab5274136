// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLUSTER_NEWS_QUEUE_H_
#define LOCKSTEP_LAUNCHER_CLUSTER_NEWS_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

#include "elastic/gang.h"
#include "runtime/base/ids.h"
#include "runtime/proto/agent.pb.h"

namespace lockstep::launcher {

/// What is to be told of a node's ranks and has not been sent yet, in the order in which it
/// happened. One per Member, which owns it. Confined to one thread.
///
/// A node's ranks often end in one moment, each with evidence of tens of KiB: all of it together
/// would be no message any more. Bounded by the number of ranks: one that goes on for long has one
/// step here.
class NewsQueue {
 public:
  /// A quarter of what a message may have (runtime/net/frame.h): heartbeats pass between two.
  static constexpr size_t kMessageBytes = size_t{256} << 10;

  /// The change that is to be filled in; valid until the next call.
  proto::RankChange& Add(base::Round round, const elastic::RankProcess& process);
  /// In the place of one that waits.
  void SetStep(base::Round round, const elastic::RankProcess& process, int64_t step);

  bool empty() const { return waiting_.empty(); }
  /// Takes the next ones out: of one round, and of kMessageBytes at most, unless the first alone is
  /// longer. Not when empty.
  proto::RankNews Take();

 private:
  using Key = std::pair<base::Rank, base::Incarnation>;
  struct Waiting {
    base::Round round;
    proto::RankChange change;
  };

  std::deque<Waiting> waiting_;
  uint64_t taken_total_ = 0;
  std::map<Key, uint64_t> steps_;  // places of steps that wait, counted from the first ever added
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLUSTER_NEWS_QUEUE_H_
