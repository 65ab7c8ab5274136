// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_OP_RECORD_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_OP_RECORD_H_

#include "collectives/engine/op.h"
#include "collectives/group.h"
#include "collectives/recorder/recorder.h"

namespace lockstep::collectives {

/// Begins the record of `op` of the group `info`.
inline Recorder::Ticket BeginRecord(Recorder& recorder, const GroupInfo& info, const Op& op,
                                    base::OpSeq seq, base::SteadyTime enqueued) {
  return recorder.Begin({.group = info.id,
                         .epoch = info.epoch,
                         .seq = seq,
                         .op = static_cast<uint8_t>(op.kind),
                         .dtype = static_cast<uint8_t>(op.dtype),
                         .reduction = static_cast<uint8_t>(op.reduction),
                         .root_or_peer = op.peer,
                         .group_size = static_cast<uint32_t>(info.size),
                         .count_in = InCount(op, info.rank.value(), info.size),
                         .count_out = OutCount(op, info.rank.value(), info.size),
                         .fingerprint = FingerprintOf(op, info.id, info.epoch, seq),
                         .enqueued = enqueued,
                         .timeout = op.timeout,
                         .call_file = op.call_file,
                         .call_line = op.call_line,
                         .tag = op.tag.c_str()});
}

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_OP_RECORD_H_
