// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/foreign_process.h"

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::process {
namespace {

constexpr base::Duration kLookInterval = std::chrono::milliseconds(50);

}  // namespace

base::Result<std::unique_ptr<ForeignProcess>> ForeignProcess::Watch(const Config& config,
                                                                    std::function<void()> on_end,
                                                                    event::Loop& loop) {
  base::UniqueFd pidfd;
  if (config.use_pidfd) {
    pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, config.pid, 0)));
    if (!pidfd.valid() && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
      return base::ErrnoStatus(errno, "watch process " + std::to_string(config.pid));
    }
  }
  // After it was opened: if it is still the same one now, the pidfd is its.
  std::optional<ProcStat> stat = ReadProcStat(config.pid);
  if (!stat || stat->start_ticks != config.start_ticks || stat->dead()) {
    return base::NotFoundError("watch process " + std::to_string(config.pid) +
                               ": it has ended, or cannot be seen from here");
  }
  return std::unique_ptr<ForeignProcess>(
      new ForeignProcess(*std::move(stat), std::move(pidfd), std::move(on_end), loop));
}

ForeignProcess::ForeignProcess(ProcStat stat, base::UniqueFd pidfd, std::function<void()> on_end,
                               event::Loop& loop)
    : stat_(std::move(stat)), pidfd_(std::move(pidfd)), on_end_(std::move(on_end)), loop_(loop) {
  if (pidfd_.valid()) {
    watch_ = loop_.Watch(pidfd_.get(), {.readable = true}, [this](event::Readiness) { End(); });
  } else {
    watch_ = loop_.After(kLookInterval, [this] { Look(); });
  }
}

bool ForeignProcess::HasEnded() const {
  if (pidfd_.valid()) {
    pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&ended, 1, 0) > 0;
  }
  const std::optional<ProcStat> now = ReadProcStat(stat_.pid);
  return !now || now->start_ticks != stat_.start_ticks || now->dead();
}

void ForeignProcess::Look() {
  if (HasEnded()) return End();
  watch_ = loop_.After(kLookInterval, [this] { Look(); });
}

void ForeignProcess::End() {
  watch_.reset();
  const std::function<void()> on_end = std::exchange(on_end_, nullptr);
  on_end();  // may destroy this
}

}  // namespace lockstep::process
