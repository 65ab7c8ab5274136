// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/graceful_stop.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>

#include "runtime/base/check.h"

namespace lockstep::rank {
namespace {

constexpr uint64_t kEnd = uint64_t{1} << 32;
constexpr std::chrono::milliseconds kSecondLookAfter(5);

// A signal handler knows nothing else. A mask and signalfd would do without it, but need every
// thread of the process to block the signal, and BLAS libraries start theirs before main.
std::atomic<int> signal_fd{-1};
std::atomic<pid_t> owner{0};
struct sigaction old_action;

void Wake(int fd, uint64_t what) { (void)!write(fd, &what, sizeof(what)); }

/// In a forked child, which inherits the handler but not the watcher: what the signal would have
/// done without a GracefulStop. Async-signal-safe.
void DeliverAsEver() {
  sigaction(SIGTERM, &old_action, nullptr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  raise(SIGTERM);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void OnSignal(int) {
  const int error = errno;
  if (getpid() == owner.load()) {
    Wake(signal_fd.load(), 1);
  } else {
    DeliverAsEver();
  }
  errno = error;
}

}  // namespace

GracefulStop::GracefulStop(const Session& session)
    : session_(session), wake_(eventfd(0, EFD_CLOEXEC)) {
  LOCKSTEP_CHECK(wake_.valid(), "no eventfd: the descriptor limit is too low");
  LOCKSTEP_CHECK(signal_fd.exchange(wake_.get()) == -1, "a second GracefulStop");
  owner.store(getpid());
  watcher_ = std::make_unique<std::thread>([this] { Watch(); });
  struct sigaction action{};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  LOCKSTEP_CHECK(sigaction(SIGTERM, &action, &old_action) == 0, "SIGTERM can be handled");
}

GracefulStop::~GracefulStop() {
  if (getpid() != owner.load()) {
    sigaction(SIGTERM, &old_action, nullptr);
    // The parent's thread, which no one here can join: its handle leaks, by intent.
    [[maybe_unused]] std::thread* const watcher = watcher_.release();
    signal_fd.store(-1);
    return;
  }
  Wake(wake_.get(), kEnd);
  watcher_->join();
  // The request comes first. A rank that returns from main at once would be ended by the signal,
  // and whoever has started it would call that a failure.
  struct sigaction ignored{};
  ignored.sa_handler = SIG_IGN;
  const bool signal_is_due = !signalled_ && session_.stop_requested();
  sigaction(SIGTERM, signal_is_due ? &ignored : &old_action, nullptr);
  signal_fd.store(-1);
}

void GracefulStop::Watch() {
  uint64_t wakes = 0;
  while (TEMP_FAILURE_RETRY(read(wake_.get(), &wakes, sizeof(wakes))) == sizeof(wakes) &&
         wakes < kEnd) {
    signalled_ = true;
    // The agent sends the request before the signal, so it is there by now; the second look is for
    // the moment in which another thread is taking it from the socket.
    if (session_.stop_requested()) continue;
    std::this_thread::sleep_for(kSecondLookAfter);
    if (session_.stop_requested()) continue;
    signal(SIGTERM, SIG_DFL);
    kill(getpid(), SIGTERM);
  }
}

}  // namespace lockstep::rank
