// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_TEXT_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_TEXT_H_

/// Stacks in words. Pure functions, for any thread.

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// One frame in words: "Step(int) at train.cc:42", "?? (train+0x11e3)".
std::string FrameText(const proto::Frame& frame);

/// "gpu 2 (NVIDIA H200): 100 % busy, no faults".
std::string GpuText(const proto::GpuState& gpu);

/// All that is known of a process, a line each; what a file of evidence holds.
std::vector<std::string> StackLines(const proto::ProcessStacks& seen);

/// Where its main thread stands, the innermost first: in Python where that is known; without what
/// is below main(). Empty: no frames are known.
std::vector<proto::Frame> MainStack(const proto::ProcessStacks& seen);

/// That in words, at most `limit` lines: of a longer stack the outermost ones are left out. Where
/// no frames are known, what the main thread does, and why no more is.
std::vector<std::string> MainStackLines(const proto::ProcessStacks& seen, size_t limit);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_TEXT_H_
