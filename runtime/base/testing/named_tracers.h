// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_TESTING_NAMED_TRACERS_H_
#define LOCKSTEP_RUNTIME_BASE_TESTING_NAMED_TRACERS_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/base/unique_fd.h"

namespace lockstep::base::testing {

/// Whom the calling thread, and what it starts, names as its tracer from now on
/// (prctl(PR_SET_PTRACER)), seen whether this kernel has Yama or not. Once in a thread, which is of
/// no use afterwards.
class NamedTracers {
 public:
  NamedTracers() {
    std::atomic<int> listener{-1};
    thread_ = std::thread([this, &listener] {
      listener.wait(-1);
      Listen(listener);
    });
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PTRACER, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    fd_.reset(static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                         SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)));
    works_ = fd_.valid();
    listener = works_ ? fd_.get() : -2;
    listener.notify_one();
    while (!begun_) std::this_thread::yield();
  }
  ~NamedTracers() {
    ended_ = true;
    thread_.join();
  }
  NamedTracers(const NamedTracers&) = delete;
  NamedTracers& operator=(const NamedTracers&) = delete;

  /// False: this kernel (before 5.5), or a container's filter, does not tell.
  bool works() const { return works_; }
  std::vector<int64_t> Pids() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return pids_;
  }

 private:
  void Listen(int fd) {
    begun_ = true;
    while (fd >= 0 && !ended_) {
      pollfd waited{.fd = fd, .events = POLLIN, .revents = 0};
      if (::poll(&waited, 1, 10) <= 0) continue;
      seccomp_notif call{};
      if (::ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) continue;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        pids_.push_back(static_cast<int64_t>(call.data.args[1]));
      }
      seccomp_notif_resp answer{};
      answer.id = call.id;
      answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      (void)::ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
  }

  UniqueFd fd_;
  bool works_ = false;
  std::atomic<bool> begun_{false};
  std::atomic<bool> ended_{false};
  std::mutex mutex_;
  std::vector<int64_t> pids_;
  std::thread thread_;
};

}  // namespace lockstep::base::testing

#endif  // LOCKSTEP_RUNTIME_BASE_TESTING_NAMED_TRACERS_H_
