// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/config/torchrun_line.h"

#include <span>
#include <string_view>

namespace lockstep::launcher {
namespace {

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// How many words come before torchrun's flags; 0: it is no torchrun line.
size_t PrefixOf(const std::vector<std::string>& program) {
  if (program.empty()) return 0;
  if (BaseName(program[0]) == "torchrun") return 1;
  if (!BaseName(program[0]).starts_with("python")) return 0;
  for (size_t i = 1; i + 1 < program.size() && program[i].starts_with('-'); ++i) {
    if (program[i] != "-m") continue;
    return program[i + 1] == "torch.distributed.run" ? i + 2 : 0;
  }
  return 0;
}

}  // namespace

std::optional<TorchrunLine> ParseTorchrunLine(const std::vector<std::string>& program) {
  const size_t prefix = PrefixOf(program);
  if (prefix == 0) return std::nullopt;
  return TorchrunLine{prefix == 1 ? "" : program[0],
                      SplitFlags(VerbSpecOf(Verb::kRun), std::span(program).subspan(prefix))};
}

}  // namespace lockstep::launcher
