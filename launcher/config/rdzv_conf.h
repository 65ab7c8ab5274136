// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_RDZV_CONF_H_
#define LOCKSTEP_LAUNCHER_CONFIG_RDZV_CONF_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace lockstep::launcher {

/// torchrun's --rdzv-conf: "join_timeout=600,is_host=1". Of a key that comes twice the last counts.
struct RdzvConf {
  std::string join_timeout;         // seconds, or with a unit, as it was written; "" = not named
  std::optional<bool> is_host;      // this node is to hold what the others meet at
  std::vector<std::string> others;  // keys that mean something to torchrun alone
};

/// A pure function. Errors: InvalidArgument - the entry that is no KEY=VALUE, or is_host's value.
base::Result<RdzvConf> ParseRdzvConf(std::string_view text);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_RDZV_CONF_H_
