// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/quiet_parser.h"

#include <google/protobuf/stubs/logging.h>

namespace lockstep::proto {

void SilenceParser() { google::protobuf::SetLogHandler(nullptr); }

}  // namespace lockstep::proto
