// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The program `lockstep-stacks`: prints what the threads of processes are doing, by runtime/proto/
// stacks.proto. A process of its own, short-lived and with limits to its memory and time: it reads
// whatever files a rank has mapped, which are large at times and may hold anything.
#include <errno.h>
#include <google/protobuf/util/json_util.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/diagnosis/stacks/dump_stacks.h"
#include "launcher/diagnosis/stacks/gpu_looks.h"
#include "launcher/diagnosis/stacks/socket_looks.h"
#include "launcher/diagnosis/stacks/thread_looks.h"

namespace lockstep::launcher {
namespace {

constexpr int kBadUsage = 64;

// Files are mapped, and not all of them is read: those of a PyTorch with CUDA are some 3 GB.
constexpr rlim_t kAddressSpace = rlim_t{8} << 30;
constexpr long kTimeMaxMs = 60'000;
constexpr long kThreadsMax = 4096;
constexpr long kFramesMax = 1024;
constexpr size_t kProcessesMax = 256;
constexpr size_t kSocketsMax = 64;
// Over the time in which it should be done by itself: then the kernel ends it.
constexpr std::chrono::milliseconds kOvertime{250};

struct Options {
  DumpLimits limits;
  size_t threads_max = 64;
  std::vector<pid_t> pids;
};

std::optional<long> NumberOf(std::string_view text, long most) {
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_good =
      error == std::errc() && end == text.data() + text.size() && number > 0 && number <= most;
  return is_good ? std::optional(number) : std::nullopt;
}

int Refuse(const std::string& what) {
  std::fprintf(stderr,
               "lockstep-stacks: %s\nusage: lockstep-stacks [--time-ms=N] [--threads=N] "
               "[--frames=N] PID...\n",
               what.c_str());
  return kBadUsage;
}

/// What is wrong with the words; "" = nothing.
std::string Parse(const std::vector<std::string_view>& words, Options& options) {
  constexpr std::string_view kTime = "--time-ms=";
  constexpr std::string_view kThreads = "--threads=";
  constexpr std::string_view kFrames = "--frames=";
  for (const std::string_view word : words) {
    std::optional<long> number;
    if (word.starts_with(kTime)) {
      number = NumberOf(word.substr(kTime.size()), kTimeMaxMs);
      options.limits.time = std::chrono::milliseconds(number.value_or(0));
    } else if (word.starts_with(kThreads)) {
      number = NumberOf(word.substr(kThreads.size()), kThreadsMax);
      options.threads_max = static_cast<size_t>(number.value_or(0));
    } else if (word.starts_with(kFrames)) {
      number = NumberOf(word.substr(kFrames.size()), kFramesMax);
      options.limits.frames_max = static_cast<size_t>(number.value_or(0));
    } else {
      number = NumberOf(word, 1L << 30);
      options.pids.push_back(static_cast<pid_t>(number.value_or(0)));
    }
    if (!number.has_value()) return "what is " + std::string(word) + "?";
  }
  if (options.pids.empty()) return "no process is named";
  if (options.pids.size() > kProcessesMax) return "more than 256 processes are named";
  return "";
}

void LimitMyself(const Options& options) {
  const rlimit space{kAddressSpace, kAddressSpace};
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_AS, &space);
  ::setrlimit(RLIMIT_CORE, &no_core);
  const auto time = options.limits.time * options.pids.size() + kOvertime;
  itimerval timer{};
  timer.it_value.tv_sec = time.count() / 1000;
  timer.it_value.tv_usec = time.count() % 1000 * 1000;
  // Its default is to end the process, whatever that is in the midst of.
  ::signal(SIGALRM, SIG_DFL);
  ::setitimer(ITIMER_REAL, &timer, nullptr);
  // A library of elfutils would ask servers for debug information.
  ::unsetenv("DEBUGINFOD_URLS");
}

/// Whether somebody still reads. Standard output may be a pipe that does not block.
bool WriteAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);  // the timer ends us
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool Print(const proto::ProcessStacks& seen) {
  std::string line;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(seen, &line, options).ok()) return false;
  return WriteAll(line + '\n');
}

int Main(const std::vector<std::string_view>& words) {
  Options options;
  const std::string wrong = Parse(words, options);
  if (!wrong.empty()) return Refuse(wrong);
  LimitMyself(options);
  bool all = true;
  std::vector<proto::ProcessStacks> told;
  for (const pid_t pid : options.pids) {
    std::optional<proto::ProcessStacks> seen = LookAtThreads(pid, options.threads_max);
    if (!seen.has_value()) {
      std::fprintf(stderr, "lockstep-stacks: there is no process %d\n", pid);
      all = false;
      continue;
    }
    if (!Print(*seen)) return EXIT_FAILURE;
    for (proto::TcpSocket& socket : LookAtSockets(pid, kSocketsMax))
      *seen->add_sockets() = std::move(socket);
    AddFrames(options.limits, *seen);
    if (!Print(*seen)) return EXIT_FAILURE;
    told.push_back(std::move(*seen));
  }
  AddGpus(told);  // last: it may hang
  for (const proto::ProcessStacks& seen : told) {
    if (seen.gpus_size() > 0 && !Print(seen)) return EXIT_FAILURE;
  }
  return all ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace lockstep::launcher

int main(int argc, char** argv) {
  return lockstep::launcher::Main({argv + (argc > 0 ? 1 : 0), argv + argc});
}
