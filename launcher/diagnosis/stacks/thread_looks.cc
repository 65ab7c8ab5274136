// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/thread_looks.h"

#include <dirent.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/verdict/clean_text.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/process_look.h"

namespace lockstep::launcher {
namespace {

using Doing = process::ProcessLook::Doing;

constexpr size_t kKernelLinesMax = 16;
constexpr size_t kColumns = 160;

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

std::optional<proto::ProcessStacks> LookAtThreads(pid_t pid, size_t threads_max) {
  const std::optional<process::ProcStat> stat = process::ReadProcStat(pid);
  const std::vector<pid_t> threads = ThreadsOf(pid);
  if (!stat.has_value() || threads.empty()) return std::nullopt;
  proto::ProcessStacks seen;
  seen.set_pid(pid);
  seen.set_program(Clean(stat->name));
  for (const pid_t tid : threads) {
    if (static_cast<size_t>(seen.threads_size()) == threads_max) break;
    if (std::optional<proto::ThreadStack> thread = LookAt(pid, tid))
      *seen.add_threads() = *std::move(thread);
  }
  if (threads.size() > threads_max)
    seen.set_threads_left_out(static_cast<int>(threads.size() - threads_max));
  return seen;
}

}  // namespace lockstep::launcher
