// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/joining.h"

#include <utility>

namespace lockstep::collectives {

Recorder::Seat Joining::TakeSeat(Recorder* recorder, const GroupSpec& spec) {
  if (recorder == nullptr) return {};
  return recorder->TakeSeat(spec.Id(), spec.epoch, spec.rank, spec.world_ranks, spec.name);
}

Joining::Joining(Recorder* recorder, const GroupSpec& spec, base::Duration timeout)
    : recorder_(recorder),
      epoch_(spec.epoch),
      waits_(recorder != nullptr && spec.world_ranks.size() > 1) {
  if (!waits_) return;
  seat_ = TakeSeat(recorder_, spec);
  const base::SteadyTime now = clock_.Now();
  ticket_ = recorder_->Begin({.group = spec.Id(),
                              .epoch = spec.epoch,
                              .op = static_cast<uint8_t>(OpKind::kInit),
                              .group_size = static_cast<uint32_t>(spec.world_ranks.size()),
                              .enqueued = now,
                              .timeout = timeout,
                              .call_file = "group.h",
                              // Its seat is another group's once it is gone.
                              .tag = spec.name.c_str()});
  recorder_->Started(ticket_, now);
  seat_.AddWaiters(false, 1);
}

Joining::~Joining() {
  if (!has_ended_) Finish(LOCKSTEP_RECORD_ERROR);
}

Recorder::Seat Joining::End(const GroupSpec& spec) {
  Finish(LOCKSTEP_RECORD_COMPLETED);
  has_ended_ = true;
  return waits_ && spec.epoch == epoch_ ? std::move(seat_) : TakeSeat(recorder_, spec);
}

void Joining::Finish(lockstep_record_state state) {
  if (!waits_) return;
  recorder_->Ended(ticket_, state, 0, clock_.Now());
  seat_.AddWaiters(false, -1);
}

}  // namespace lockstep::collectives
