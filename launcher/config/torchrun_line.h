// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_TORCHRUN_LINE_H_
#define LOCKSTEP_LAUNCHER_CONFIG_TORCHRUN_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "launcher/cli/command_line.h"

/// torchrun's own command line in the place of a program: run as it is, it would start its ranks
/// once for each of ours. Pure functions.
namespace lockstep::launcher {

struct TorchrunLine {
  std::string python;  // "" = not named
  SplitLine line;      // torchrun's flags, and the script with its arguments, if it names one
};

/// `program` is a command with its arguments: "torchrun ..." or "python ... -m
/// torch.distributed.run ...", with or without folders; none of these: no value.
std::optional<TorchrunLine> ParseTorchrunLine(const std::vector<std::string>& program);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_TORCHRUN_LINE_H_
