// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SIM_RANK_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SIM_RANK_H_

#include <sys/mman.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "collectives/recorder/recorder.h"
#include "collectives/types.h"
#include "runtime/attach/shared_memory.h"
#include "runtime/base/ids.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"

namespace lockstep::launcher::testing {

/// A rank whose process is this one, which runs; with a ring of its own, of 0.8 MB unless it is to
/// have fewer slots.
class SimRank {
 public:
  SimRank(event::Loop& loop, int rank, int size, uint32_t slots = LOCKSTEP_RING_DEFAULT_SLOTS)
      : loop_(loop),
        fd_(lockstep_shared_memory_create("watched-ring", collectives::RingBytes(slots))) {
    void* const header = ::mmap(nullptr, LOCKSTEP_RING_HEADER_BYTES, PROT_READ | PROT_WRITE,
                                MAP_SHARED, fd_.get(), 0);
    collectives::FormatRing({.job = "sim", .rank = base::Rank(rank), .world_size = size}, slots,
                            *static_cast<lockstep_ring_header*>(header));
    ::munmap(header, LOCKSTEP_RING_HEADER_BYTES);
    recorder_ = collectives::Recorder::Create(fd_).value();
    std::vector<base::Rank> members;
    for (int member = 0; member < size; ++member) members.emplace_back(member);
    seat_ = recorder_->TakeSeat(base::GroupId(1), base::Round(0), base::GroupRank(rank), members,
                                "world");
  }

  int fd() const { return fd_.get(); }
  collectives::Recorder& recorder() { return *recorder_; }

  void Call(uint64_t count = 4) {
    ++seq_;
    ticket_ = recorder_->Begin({.group = base::GroupId(1),
                                .seq = base::OpSeq(seq_),
                                .op = static_cast<uint8_t>(collectives::OpKind::kAllReduce),
                                .group_size = 2,
                                .count_in = count,
                                .count_out = count,
                                .fingerprint = 100 * seq_ + count,
                                .enqueued = loop_.Now()});
    recorder_->Started(ticket_, loop_.Now());
  }
  /// In a group of itself, which ends well.
  void CallElsewhere() {
    const auto ticket = recorder_->Begin({.group = base::GroupId(2),
                                          .seq = base::OpSeq(++elsewhere_seq_),
                                          .op = static_cast<uint8_t>(collectives::OpKind::kBarrier),
                                          .group_size = 1,
                                          .enqueued = loop_.Now()});
    recorder_->Ended(ticket, LOCKSTEP_RECORD_COMPLETED, 0, loop_.Now());
  }
  void Wait() { seat_.AddWaiters(false, 1); }
  void End(lockstep_record_state state = LOCKSTEP_RECORD_COMPLETED) {
    recorder_->Ended(ticket_, state, 0, loop_.Now());
  }
  void GoOn() {
    End();
    seat_.AddWaiters(false, -1);
  }

 private:
  event::Loop& loop_;
  const base::UniqueFd fd_;
  std::unique_ptr<collectives::Recorder> recorder_;
  collectives::Recorder::Seat seat_;
  collectives::Recorder::Ticket ticket_;
  uint64_t seq_ = 0;
  uint64_t elsewhere_seq_ = 0;
};

}  // namespace lockstep::launcher::testing

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_SIM_RANK_H_
