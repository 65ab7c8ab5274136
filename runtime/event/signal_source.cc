// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/event/signal_source.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::event {

base::Result<std::unique_ptr<SignalSource>> SignalSource::Create(Loop& loop,
                                                                 const std::vector<int>& signals,
                                                                 Callback callback) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  base::UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return base::ErrnoStatus(errno, "listen for signals: signalfd");
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return base::ErrnoStatus(error, "listen for signals: pthread_sigmask");
  }
  std::unique_ptr<SignalSource> source(new SignalSource(std::move(fd), std::move(callback)));
  source->watch_ = loop.Watch(source->fd_.get(), {.readable = true},
                              [raw = source.get()](Readiness) { raw->OnReadable(); });
  return source;
}

SignalSource::SignalSource(base::UniqueFd fd, Callback callback)
    : fd_(std::move(fd)), callback_(std::move(callback)) {}

void SignalSource::OnReadable() {
  // One a turn: the callback may destroy this object.
  signalfd_siginfo info;
  if (::read(fd_.get(), &info, sizeof(info)) != sizeof(info)) return;
  const Callback callback = callback_;
  callback({.number = static_cast<int>(info.ssi_signo),
            .sender_pid = static_cast<pid_t>(info.ssi_pid),
            .sender_uid = info.ssi_uid,
            .code = info.ssi_code});
}

}  // namespace lockstep::event
