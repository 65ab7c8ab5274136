// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_TIMES_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_TIMES_H_

#include "launcher/diagnosis/hang_watch.h"
#include "runtime/base/result.h"
#include "runtime/proto/control.pb.h"

namespace lockstep::launcher {

/// Sets those times of the watch that are asked for, and tells what is in force. On the loop's
/// thread. Errors: InvalidArgument - one is less than 100 ms or more than 24 h; then none is set.
base::Result<proto::HangsReply> SetHangTimes(const proto::HangsRequest& request, HangWatch& watch);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_HANG_TIMES_H_
