// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/held_threads.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>

namespace lockstep::launcher {
namespace {

void* Argument(int value) { return reinterpret_cast<void*>(static_cast<intptr_t>(value)); }

}  // namespace

int HeldThreads::Ask(pid_t tid) {
  if (::ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) return errno;
  Thread& thread = threads_[tid];
  // ESRCH: it has just ended.
  if (::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) thread.is_gone = true;
  return 0;
}

void HeldThreads::Look(pid_t tid, Thread& thread) {
  int status = 0;
  const pid_t seen = ::waitpid(tid, &status, WNOHANG | __WALL);
  if (seen == 0) return;
  if (seen != tid || !WIFSTOPPED(status)) {
    thread.is_gone = true;
    return;
  }
  thread.is_held = true;
  // Without the event it is a signal on its way.
  if (status >> 16 != PTRACE_EVENT_STOP) thread.signal = WSTOPSIG(status);
}

void HeldThreads::Await(std::chrono::steady_clock::time_point deadline) {
  auto pause = std::chrono::microseconds(20);
  while (true) {
    bool all = true;
    for (auto& [tid, thread] : threads_) {
      if (!thread.is_held && !thread.is_gone) Look(tid, thread);
      all = all && (thread.is_held || thread.is_gone);
    }
    if (all || std::chrono::steady_clock::now() >= deadline) return;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(2000));
  }
}

bool HeldThreads::IsHeld(pid_t tid) const {
  const auto found = threads_.find(tid);
  return found != threads_.end() && found->second.is_held;
}

void HeldThreads::LetGo() {
  for (auto& [tid, thread] : threads_) {
    // One that does not stand cannot be let go; the kernel does that when this process ends.
    if (!thread.is_held && !thread.is_gone) Look(tid, thread);
    if (thread.is_held) ::ptrace(PTRACE_DETACH, tid, nullptr, Argument(thread.signal));
  }
  threads_.clear();
}

}  // namespace lockstep::launcher
