// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/dump_stacks.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launcher/diagnosis/stacks/held_threads.h"
#include "launcher/diagnosis/stacks/trace_refusal.h"
#include "launcher/diagnosis/stacks/unwinder.h"
#include "launcher/verdict/clean_text.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kColumns = 160;
// Whoever does not stand still by then is in a wait that nothing interrupts.
constexpr std::chrono::milliseconds kHoldLimit{300};

std::string Clean(std::string_view text) { return ClipLine(CleanText(text), kColumns); }

/// errno; 0 = it can be read.
int ErrorOfReading(const std::string& path) {
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.valid() ? 0 : errno;
}

}  // namespace

void AddFrames(const DumpLimits& limits, proto::ProcessStacks& seen) {
  const SteadyClock::time_point deadline = SteadyClock::now() + limits.time;
  const auto pid = static_cast<pid_t>(seen.pid());
  if (const int error = ErrorOfReading("/proc/" + std::to_string(pid) + "/maps"); error != 0) {
    seen.add_problems(ExplainRefusal(LookAtRefusal(pid, error)));
    return;
  }
  const base::Result<std::unique_ptr<Unwinder>> created = Unwinder::Create(pid);
  if (!created.ok()) {
    seen.add_problems(Clean(created.status().message()));
    return;
  }
  Unwinder& unwinder = **created;

  HeldThreads held;
  const SteadyClock::time_point held_at = SteadyClock::now();
  for (proto::ThreadStack& thread : *seen.mutable_threads()) {
    if (!thread.problem().empty()) continue;
    const int error = held.Ask(static_cast<pid_t>(thread.tid()));
    if (error == ESRCH) thread.set_problem("it has ended");
    if (error == 0 || error == ESRCH) continue;
    // So it is with all of them.
    seen.add_problems(ExplainRefusal(LookAtRefusal(pid, error)));
    return;
  }
  held.Await(std::min(deadline, held_at + kHoldLimit));
  std::map<int64_t, Unwinder::Stack> stacks;
  for (proto::ThreadStack& thread : *seen.mutable_threads()) {
    if (!thread.problem().empty()) continue;
    const auto tid = static_cast<pid_t>(thread.tid());
    if (!held.IsHeld(tid)) {
      thread.set_problem(
          "it could not be held: it is in a wait that nothing interrupts, or frozen");
      continue;
    }
    stacks[tid] = unwinder.Unwind(tid, limits.frames_max, deadline);
  }
  held.LetGo();
  seen.set_held_ns((SteadyClock::now() - held_at).count());

  for (proto::ThreadStack& thread : *seen.mutable_threads()) {
    const auto stack = stacks.find(thread.tid());
    if (stack == stacks.end()) continue;
    if (!stack->second.problem.empty()) thread.set_problem(Clean(stack->second.problem));
    for (const uint64_t address : stack->second.addresses) {
      if (SteadyClock::now() >= deadline) {
        thread.set_problem("no time was left to look up all frames");
        break;
      }
      *thread.add_frames() = unwinder.Describe(address);
    }
  }
}

}  // namespace lockstep::launcher
