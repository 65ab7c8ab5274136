// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// The standard input of `lockstep agent`: whatever it is, it is a Bootstrap, which written down
// again reads as the same, or refused, never waited for once it has ended.
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>

#include "launcher/agent/read_bootstrap.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/frame.h"
#include "runtime/proto/quiet_parser.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kPipeBytes = size_t{64} << 10;  // what one holds

void Require(bool holds) {
  if (!holds) ::abort();
}

base::Result<proto::Bootstrap> Read(std::string_view bytes) {
  int ends[2];
  Require(::pipe(ends) == 0);
  const base::UniqueFd read_end(ends[0]);
  base::UniqueFd write_end(ends[1]);
  const std::string_view fits = bytes.substr(0, kPipeBytes);
  Require(::write(write_end.get(), fits.data(), fits.size()) == static_cast<ssize_t>(fits.size()));
  write_end.reset();
  return ReadBootstrap(read_end.get(), std::chrono::seconds(20), base::RealClock());
}

void Check(std::string_view bytes) {
  const base::Result<proto::Bootstrap> bootstrap = Read(bytes);
  if (!bootstrap.ok()) {
    return Require(bootstrap.status().code() == base::Code::kInvalidArgument ||
                   bootstrap.status().code() == base::Code::kResourceExhausted);
  }
  const std::string payload = bootstrap->SerializeAsString();
  std::string frame;
  net::AppendFrameHeader(payload.size(), &frame);
  const base::Result<proto::Bootstrap> again = Read(frame + payload);
  Require(again.ok() && again->SerializeAsString() == payload);
}

}  // namespace
}  // namespace lockstep::launcher

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockstep::proto::SilenceParser();
  lockstep::launcher::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
