// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/rdzv_conf.h"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>

#include "runtime/base/check.h"

/// What was understood holds no separators, and each other key once.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto conf = lockstep::launcher::ParseRdzvConf({reinterpret_cast<const char*>(data), size});
  if (!conf.ok()) return 0;
  LOCKSTEP_CHECK(conf->join_timeout.find(',') == std::string::npos, "a value ends at a comma");
  std::set<std::string_view> keys;
  for (const std::string& key : conf->others) {
    LOCKSTEP_CHECK(!key.empty() && key.find_first_of("=,") == std::string::npos, "a key is a word");
    LOCKSTEP_CHECK(keys.insert(key).second, "a key is noted once");
  }
  return 0;
}
