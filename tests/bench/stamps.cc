// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/stamps.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace lockstep::bench {

Stamps::Stamps(const std::string& folder) : path_(folder + "/stamps") {
  // Open for writing too, so that it never ends.
  if (::mkfifo(path_.c_str(), 0600) == 0) {
    fifo_.reset(::open(path_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  }
  if (!fifo_.valid()) {
    std::perror(path_.c_str());
    std::abort();
  }
}

Stamps::~Stamps() { ::unlink(path_.c_str()); }

std::optional<std::vector<BenchStamp>> Stamps::Read(size_t count, base::Duration at_most) {
  const base::RealClock clock;
  const base::SteadyTime give_up = clock.Now() + at_most;
  std::vector<BenchStamp> stamps;
  while (stamps.size() < count) {
    BenchStamp stamp;
    if (::read(fifo_.get(), &stamp, sizeof stamp) == sizeof stamp) {
      stamps.push_back(stamp);
      continue;
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(give_up - clock.Now()).count();
    pollfd fd{fifo_.get(), POLLIN, 0};
    if (left <= 0 || ::poll(&fd, 1, static_cast<int>(left)) <= 0) return std::nullopt;
  }
  return stamps;
}

}  // namespace lockstep::bench
