// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_LINK_TEXT_H_
#define LOCKSTEP_RUNTIME_PROTO_LINK_TEXT_H_

#include <string_view>

#include "runtime/base/result.h"

namespace lockstep::proto {

/// What the way between two machines costs; both above 0.
struct LinkFigures {
  double latency_us = 0;    // of one message, one way
  double bytes_per_us = 0;  // thousands are GB a second

  friend bool operator==(const LinkFigures&, const LinkFigures&) = default;
};

/// "20,5": microseconds, and GB a second. Errors: InvalidArgument - something else. Pure, for any
/// thread.
base::Result<LinkFigures> ParseLinkFigures(std::string_view text);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_LINK_TEXT_H_
