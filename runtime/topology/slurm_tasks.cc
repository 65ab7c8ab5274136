// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/slurm_tasks.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

namespace lockstep::topology {
namespace {

constexpr int64_t kCountMax = std::numeric_limits<int32_t>::max();

/// Takes a number from 1 to kCountMax off the front; 0 when none stands there.
int64_t TakeCount(std::string_view& text) {
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || count < 1 || count > kCountMax) return 0;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return count;
}

bool TakeWord(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

}  // namespace

base::Result<SlurmTasks> ParseSlurmTasks(std::string_view text, int node_index) {
  const auto wrong = [whole = std::string(text)](const std::string& what) {
    return base::InvalidArgumentError("parse tasks per node \"" + whole.substr(0, 100) +
                                      "\": " + what);
  };
  int64_t on_node = 0;
  int64_t total = 0;
  int64_t nodes = 0;
  do {
    const int64_t tasks = TakeCount(text);
    const bool repeated = TakeWord(text, "(x");
    const int64_t repeats = repeated ? TakeCount(text) : 1;
    if (tasks == 0 || repeats == 0 || (repeated && !TakeWord(text, ")"))) {
      return wrong("it is not of the form 4(x2),3");
    }
    if (nodes <= node_index && node_index < nodes + repeats) on_node = tasks;
    nodes += repeats;
    total += tasks * repeats;  // both below 2^31
    if (nodes > kCountMax || total > kCountMax) return wrong("these are too many");
  } while (TakeWord(text, ","));
  if (!text.empty()) return wrong("it is not of the form 4(x2),3");
  if (on_node == 0) {
    return wrong("it has " + std::to_string(nodes) + " nodes, and this is node " +
                 std::to_string(node_index));
  }
  return SlurmTasks{.on_node = static_cast<int>(on_node),
                    .total = static_cast<int>(total),
                    .node_count = static_cast<int>(nodes)};
}

}  // namespace lockstep::topology
