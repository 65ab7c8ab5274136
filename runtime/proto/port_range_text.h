// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_PORT_RANGE_TEXT_H_
#define LOCKSTEP_RUNTIME_PROTO_PORT_RANGE_TEXT_H_

#include <string_view>

#include "runtime/base/result.h"

namespace lockstep::proto {

/// First and last TCP port, both inside.
struct PortSpan {
  int first = 0;
  int last = 0;

  friend bool operator==(const PortSpan&, const PortSpan&) = default;
};

/// "29400-29499" or "29400"; "" = {0, 0}, any port. Errors: InvalidArgument - neither, a port that
/// is not 1 to 65535, or the last before the first. Pure, for any thread.
base::Result<PortSpan> ParsePortSpan(std::string_view text);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_PORT_RANGE_TEXT_H_
