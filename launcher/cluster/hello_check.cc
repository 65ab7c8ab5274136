// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/hello_check.h"

#include <limits.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "launcher/cluster/protocol.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kNameBytesMax = 253;  // as a host name's
constexpr int kAddressesMax = 64;
constexpr int kPortMax = 65535;

bool IsPlainText(std::string_view text) {
  return text.size() <= kNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

base::Status Bad(const std::string& field) {
  return base::InvalidArgumentError("an agent's hello is not believed: its " + field +
                                    " cannot be; install the same lockstep on all nodes");
}

}  // namespace

base::Status CheckHello(const proto::Hello& hello) {
  if (!IsPlainText(hello.host()) || hello.host().empty()) return Bad("host");
  if (!IsPlainText(hello.boot_id())) return Bad("boot id");
  if (!IsPlainText(hello.job_id())) return Bad("job id");
  if (!IsPlainText(hello.lockstep_version())) return Bad("version");
  if (!IsPlainText(hello.program_hash())) return Bad("program hash");
  if (hello.slots() < 0 || hello.slots() > kSlotsMax) return Bad("number of slots");
  if (hello.master_port() < 0 || hello.master_port() > kPortMax) return Bad("port");
  // Sent on to every node, with a job's id behind it.
  if (hello.jobs_root().size() >= PATH_MAX || hello.jobs_root().find('\0') != std::string::npos) {
    return Bad("folder of jobs");
  }
  const int count = hello.addresses_size();
  if (count < 1 || count > kAddressesMax) return Bad("number of addresses");
  for (const std::string& address : hello.addresses()) {
    if (!IsPlainText(address) || address.empty()) return Bad("address");
  }
  return base::OkStatus();
}

}  // namespace lockstep::launcher
