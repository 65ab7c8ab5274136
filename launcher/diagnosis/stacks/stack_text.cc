// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/stack_text.h"

#include <algorithm>
#include <string_view>

#include "launcher/diagnosis/stacks/socket_looks.h"

namespace lockstep::launcher {
namespace {

using Lines = std::vector<std::string>;

/// What calls main() or a thread's function: of no interest to anybody.
bool IsBelowMain(const proto::Frame& frame) {
  constexpr std::string_view kNames[] = {"__libc_start_call_main",
                                         "__libc_start_main",
                                         "_start",
                                         "start_thread",
                                         "__clone",
                                         "__clone3",
                                         "clone"};
  return std::find(std::begin(kNames), std::end(kNames), frame.function()) != std::end(kNames);
}

std::string ThreadTitle(const proto::ThreadStack& thread) {
  std::string title = "thread " + std::to_string(thread.tid());
  if (!thread.name().empty()) title += " " + thread.name();
  return thread.doing().empty() ? title : title + ": " + thread.doing();
}

void AppendThread(const proto::ThreadStack& thread, Lines& lines) {
  lines.push_back(ThreadTitle(thread));
  int number = 0;
  for (const proto::Frame& frame : thread.frames())
    lines.push_back("  #" + std::to_string(number++) + " " + FrameText(frame));
  for (const std::string& call : thread.kernel()) lines.push_back("  kernel " + call);
  if (!thread.problem().empty()) lines.push_back("  (" + thread.problem() + ")");
}

}  // namespace

std::string FrameText(const proto::Frame& frame) {
  std::string text = frame.function().empty() ? "??" : frame.function();
  if (!frame.file().empty()) {
    const std::string& file = frame.file();
    return text + " at " + file.substr(file.rfind('/') + 1) + ":" + std::to_string(frame.line());
  }
  if (frame.module().empty()) return frame.function().empty() ? text + " " + frame.address() : text;
  const bool is_named = !frame.function().empty();
  return text + " (" + frame.module() + (is_named ? "" : "+" + frame.offset()) + ")";
}

Lines StackLines(const proto::ProcessStacks& seen) {
  Lines lines = {"process " + std::to_string(seen.pid()) + " " + seen.program()};
  for (const std::string& problem : seen.problems()) lines.push_back(problem);
  for (const proto::ThreadStack& thread : seen.python()) {
    lines.push_back("");
    AppendThread(thread, lines);
  }
  for (const proto::ThreadStack& thread : seen.threads()) {
    lines.push_back("");
    AppendThread(thread, lines);
  }
  if (seen.threads_left_out() > 0) {
    lines.push_back("");
    lines.push_back(std::to_string(seen.threads_left_out()) + " further threads are left out");
  }
  if (seen.sockets_size() > 0) lines.push_back("");
  for (const proto::TcpSocket& socket : seen.sockets())
    lines.push_back("tcp " + SocketText(socket));
  if (seen.gpus_size() > 0) lines.push_back("");
  for (const proto::GpuState& gpu : seen.gpus()) lines.push_back(GpuText(gpu));
  return lines;
}

std::string GpuText(const proto::GpuState& gpu) {
  std::string text = "gpu " + std::to_string(gpu.index());
  if (!gpu.name().empty()) text += " (" + gpu.name() + ")";
  text += gpu.is_used() ? ": " : ", which the process is not seen to use: ";
  if (gpu.has_busy_percent()) text += std::to_string(gpu.busy_percent()) + " % busy, ";
  if (gpu.faults_size() == 0) return text + "no faults";
  for (int i = 0; i < gpu.faults_size(); ++i) text += (i > 0 ? "; " : "") + gpu.faults(i);
  return text;
}

std::vector<proto::Frame> MainStack(const proto::ProcessStacks& seen) {
  const bool has_python = seen.python_size() > 0 && seen.python(0).frames_size() > 0;
  if (!has_python && seen.threads_size() == 0) return {};
  const proto::ThreadStack& thread = has_python ? seen.python(0) : seen.threads(0);
  std::vector<proto::Frame> frames(thread.frames().begin(), thread.frames().end());
  while (!frames.empty() && IsBelowMain(frames.back())) frames.pop_back();
  return frames;
}

Lines MainStackLines(const proto::ProcessStacks& seen, size_t limit) {
  Lines lines;
  for (const proto::Frame& frame : MainStack(seen)) {
    if (lines.size() == limit) break;
    lines.push_back(FrameText(frame));
  }
  if (!lines.empty()) return lines;
  if (seen.threads_size() > 0) {
    lines.push_back(ThreadTitle(seen.threads(0)));
    if (!seen.threads(0).problem().empty()) lines.push_back(seen.threads(0).problem());
  }
  lines.insert(lines.end(), seen.problems().begin(), seen.problems().end());
  if (lines.size() > limit) lines.resize(limit);
  return lines;
}

}  // namespace lockstep::launcher
