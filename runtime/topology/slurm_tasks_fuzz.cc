// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/topology/slurm_tasks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const int node : {-1, 0, 1, 70'000}) {
    const auto tasks = lockstep::topology::ParseSlurmTasks(text, node);
    if (!tasks.ok()) continue;
    if (tasks->on_node < 1 || tasks->on_node > tasks->total || node >= tasks->node_count) {
      __builtin_trap();
    }
  }
  return 0;
}
