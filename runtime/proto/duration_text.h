// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_DURATION_TEXT_H_
#define LOCKSTEP_RUNTIME_PROTO_DURATION_TEXT_H_

#include <google/protobuf/duration.pb.h>

#include <string>
#include <string_view>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"

namespace lockstep::proto {

/// "30s", "1m30s", "1.5h", "500ms": numbers with units h, m, s, ms, us, ns, as Kubernetes writes
/// durations; with `with_days` also "7d" and "2w", for people. "0" is the only duration that needs
/// no unit. Errors: InvalidArgument - says which part, and what a duration looks like; at most 100
/// years.
base::Result<base::Duration> ParseDuration(std::string_view text, bool with_days = false);

/// The exact inverse: "1m30s", "500ms", "0s".
std::string FormatExactDuration(base::Duration duration);

base::Duration FromProto(const google::protobuf::Duration& duration);
google::protobuf::Duration ToProto(base::Duration duration);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_DURATION_TEXT_H_
