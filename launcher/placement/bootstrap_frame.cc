// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/placement/bootstrap_frame.h"

#include <cstddef>

#include "runtime/net/frame.h"

namespace lockstep::launcher {

std::string BootstrapFrame(const proto::Bootstrap& bootstrap) {
  const size_t bytes = bootstrap.ByteSizeLong();
  std::string frame;
  frame.reserve(net::kFrameHeaderBytes + bytes);  // growing would leave a copy behind
  net::AppendFrameHeader(bytes, &frame);
  bootstrap.AppendToString(&frame);
  return frame;
}

}  // namespace lockstep::launcher
