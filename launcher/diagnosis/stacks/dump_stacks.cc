// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/dump_stacks.h"

#include <dirent.h>
#include <errno.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launcher/diagnosis/stacks/held_threads.h"
#include "launcher/diagnosis/stacks/trace_refusal.h"
#include "launcher/diagnosis/stacks/unwinder.h"
#include "launcher/verdict/clean_text.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/process_look.h"

namespace lockstep::launcher {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Doing = process::ProcessLook::Doing;

constexpr int kKernelLinesMax = 16;
constexpr size_t kColumns = 160;
// Whoever does not stand still by then is in a wait that nothing interrupts.
constexpr std::chrono::milliseconds kHoldLimit{300};

std::string Clean(std::string_view text) { return ClipLine(CleanText(text), kColumns); }

/// The first one first, the others by number.
std::vector<pid_t> ThreadsOf(pid_t pid) {
  std::vector<pid_t> threads;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(
      ::opendir(("/proc/" + std::to_string(pid) + "/task").c_str()), ::closedir);
  if (folder == nullptr) return threads;
  while (const dirent* const entry = ::readdir(folder.get())) {
    const auto tid = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
    if (tid > 0) threads.push_back(tid);
  }
  std::sort(threads.begin(), threads.end(),
            [pid](pid_t a, pid_t b) { return std::pair(a != pid, a) < std::pair(b != pid, b); });
  return threads;
}

std::vector<std::string> LinesOfFile(const std::string& path, size_t limit) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; lines.size() < limit && std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::optional<proto::ThreadStack> LookAt(pid_t pid, pid_t tid) {
  const std::optional<process::ProcessLook> look = process::LookAtThread(pid, tid);
  if (!look.has_value()) return std::nullopt;
  const std::string folder = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid);
  proto::ThreadStack thread;
  thread.set_tid(tid);
  for (const std::string& name : LinesOfFile(folder + "/comm", 1)) thread.set_name(Clean(name));
  thread.set_doing(Clean(look->ToString()));
  if (look->doing == Doing::kEnded) thread.set_problem("it has ended");
  // "[<0>] futex_wait_queue+0x60/0x90"
  for (const std::string& line : LinesOfFile(folder + "/stack", kKernelLinesMax)) {
    const size_t end = line.find("] ");
    thread.add_kernel(Clean(end == line.npos ? line : line.substr(end + 2)));
  }
  return thread;
}

}  // namespace

std::optional<proto::ProcessStacks> LookAtThreads(pid_t pid, const DumpLimits& limits) {
  const std::optional<process::ProcStat> stat = process::ReadProcStat(pid);
  const std::vector<pid_t> threads = ThreadsOf(pid);
  if (!stat.has_value() || threads.empty()) return std::nullopt;
  proto::ProcessStacks seen;
  seen.set_pid(pid);
  seen.set_program(Clean(stat->name));
  for (const pid_t tid : threads) {
    if (static_cast<size_t>(seen.threads_size()) == limits.threads_max) break;
    if (std::optional<proto::ThreadStack> thread = LookAt(pid, tid))
      *seen.add_threads() = *std::move(thread);
  }
  if (threads.size() > limits.threads_max)
    seen.set_threads_left_out(static_cast<int>(threads.size() - limits.threads_max));
  return seen;
}

void AddFrames(const DumpLimits& limits, proto::ProcessStacks& seen) {
  const SteadyClock::time_point deadline = SteadyClock::now() + limits.time;
  const auto pid = static_cast<pid_t>(seen.pid());
  base::Result<std::unique_ptr<Unwinder>> created = Unwinder::Create(pid);
  if (!created.ok()) {
    // Files of a process that we may not trace cannot be read, either.
    const TraceRefusal refusal = LookAtRefusal(pid, EPERM);
    const bool is_foreign = refusal.its_user != refusal.own_user && !refusal.may_trace_all;
    seen.add_problems(Clean(created.status().message()));
    if (is_foreign) seen.add_problems(ExplainRefusal(refusal));
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
      thread.set_problem("it could not be held: it is in a wait that nothing interrupts, or frozen");
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
