// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/round_watch.h"

#include <string.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "collectives/engine/attach_status.h"
#include "collectives/engine/quiet_thread.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::rank {
namespace {

using collectives::Rounds;

constexpr uint32_t kWaitMs = 3'600'000;  // it only has to be some time
constexpr const char* kDoing = "hearing from the agent which ranks are left";

base::Result<std::vector<Rounds::Gone>> ReadGone(int file, uint32_t count) {
  std::vector<lockstep_attach_gone> entries(count);
  const size_t bytes = entries.size() * sizeof(lockstep_attach_gone);
  const ssize_t got = ::pread(file, entries.data(), bytes, 0);
  if (got < 0) return base::ErrnoStatus(errno, kDoing);
  if (got != static_cast<ssize_t>(bytes))
    return base::DataLossError(std::string(kDoing) + ": its list is shorter than it said");
  std::vector<Rounds::Gone> gone;
  for (const lockstep_attach_gone& entry : entries) {
    gone.push_back(
        {base::Rank(entry.rank), std::string(entry.why, ::strnlen(entry.why, sizeof entry.why))});
  }
  return gone;
}

}  // namespace

base::Result<std::unique_ptr<RoundWatch>> RoundWatch::Start(const std::string& socket_path,
                                                            const std::string& cookie,
                                                            uint32_t timeout_ms,
                                                            std::shared_ptr<Rounds> rounds) {
  ASSIGN_OR_RETURN(collectives::AttachConnection agent,
                   collectives::AttachToAgent(socket_path, cookie, timeout_ms, kDoing));
  lockstep_attach_error error{};
  const int result = lockstep_attach_follow_rounds(agent.client.get(), timeout_ms, &error);
  if (result != LOCKSTEP_ATTACH_OK) return collectives::AttachStatus(result, error, kDoing);
  return std::unique_ptr<RoundWatch>(new RoundWatch(std::move(agent.client), std::move(rounds)));
}

RoundWatch::RoundWatch(collectives::AttachClient client, std::shared_ptr<Rounds> rounds)
    : client_(std::move(client)), rounds_(std::move(rounds)), owner_pid_(::getpid()) {
  thread_ = collectives::StartQuietThread("lockstep-rounds", [this] { Listen(); });
}

RoundWatch::~RoundWatch() {
  if (owner_pid_ != ::getpid()) {  // the thread was not copied
    thread_.detach();
    return;
  }
  lockstep_attach_interrupt(client_.get());
  thread_.join();
}

void RoundWatch::Listen() {
  for (;;) {
    lockstep_attach_round round{};
    lockstep_attach_error error{};
    int fd = -1;
    const int result = lockstep_attach_await_round(client_.get(), kWaitMs, &round, &fd, &error);
    if (result == LOCKSTEP_ATTACH_TIMEOUT) continue;
    if (result != LOCKSTEP_ATTACH_OK)
      return rounds_->Close(collectives::AttachStatus(result, error, kDoing));
    const base::UniqueFd file(fd);
    auto gone = ReadGone(file.get(), round.gone_count);
    if (!gone.ok()) return rounds_->Close(gone.status());
    rounds_->Begin(base::Round(round.round), *std::move(gone));
  }
}

}  // namespace lockstep::rank
