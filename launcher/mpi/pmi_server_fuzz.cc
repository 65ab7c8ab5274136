// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What a rank says to PMI: whatever it is, the other rank is served as before.
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "launcher/mpi/pmi_server.h"
#include "runtime/base/clock.h"
#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kSentBytesMax = 64 << 10;  // what the sockets hold
constexpr std::string_view kAnswer = "cmd=appnum appnum=0 rc=0\n";

void Require(bool holds) {
  if (!holds) ::abort();
}

/// Until the loop has nothing to do any more.
void RunAll(event::Loop& loop) {
  const event::Registration end =
      loop.After(std::chrono::milliseconds(1), [&loop] { loop.Quit(); });
  loop.Run();
}

void Check(std::string_view bytes) {
  const base::RealClock clock;
  const auto loop = *event::EpollLoop::Create(clock);
  PmiServer server({.job_id = "job", .on_abort = [](base::Rank, int) {}}, *loop);
  Require(server.BeginRound(base::Round(0), 2).ok());
  const MpiSeat wild = std::move(server.SeatOf(base::Rank(0))).value();
  const MpiSeat tame = std::move(server.SeatOf(base::Rank(1))).value();
  while (!bytes.empty()) {
    const size_t size = std::min(bytes.size(), kSentBytesMax);
    if (::send(wild.fd.get(), bytes.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) break;
    bytes.remove_prefix(size);
    RunAll(*loop);
  }
  constexpr std::string_view kQuestion = "cmd=get_appnum\n";
  Require(::send(tame.fd.get(), kQuestion.data(), kQuestion.size(), MSG_NOSIGNAL) > 0);
  std::string answer;
  for (int turn = 0; turn < 1000 && !answer.ends_with(kAnswer); ++turn) {
    RunAll(*loop);
    char said[256];
    const ssize_t size = ::recv(tame.fd.get(), said, sizeof said, MSG_DONTWAIT);
    if (size > 0) answer.append(said, static_cast<size_t>(size));
  }
  Require(answer == kAnswer);
}

}  // namespace
}  // namespace lockstep::launcher

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockstep::launcher::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
