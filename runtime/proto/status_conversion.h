// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_STATUS_CONVERSION_H_
#define LOCKSTEP_RUNTIME_PROTO_STATUS_CONVERSION_H_

#include "runtime/base/status.h"
#include "runtime/proto/status.pb.h"

namespace lockstep::proto {

inline constexpr int kStatusCausesMax = 16;  // deeper causes are cut off, both ways

/// base::Status and its wire form, field by field. A message from outside that names no known code
/// becomes UNKNOWN, one with an unknown class UNSPECIFIED. Pure functions, for any thread.
Status ToProto(const base::Status& status);
base::Status FromProto(const Status& status);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_STATUS_CONVERSION_H_
