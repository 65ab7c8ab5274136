// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CONFIG_STREAM_CHOICE_H_
#define LOCKSTEP_LAUNCHER_CONFIG_STREAM_CHOICE_H_

#include <optional>
#include <string>
#include <string_view>

namespace lockstep::launcher {

/// torchrun's notation for streams, "3" or "0:3,12:1" for ranks of a node, as the StreamChoice that
/// a job file would hold; nothing when it is none. Pure.
std::optional<std::string> StreamChoiceOf(std::string_view text);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CONFIG_STREAM_CHOICE_H_
