// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/election.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "runtime/net/blocking_client.h"
#include "runtime/net/unix_socket.h"
#include "runtime/process/fork_child.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

// Each was an agent that died before it answered: more of them would only die too.
constexpr int kElectionsMax = 5;
constexpr int kPauseMillisecondsMax = 10;

/// Whether such an error means that there is no agent (any more).
bool HasNoAgent(const base::Status& error) {
  return error.code() == base::Code::kUnavailable || error.code() == base::Code::kDataLoss;
}

/// They cannot have foreseen it, but seen: a name of a job that was here before, of the same key.
base::Status HeldByOthers(const Election& election, const base::Status& why) {
  return base::AlreadyExistsError(
      "meet the job's agent on this host: what listens at " + election.address +
      " is another user's (" + why.message() +
      "), and names that were used can be seen in /proc/net/unix; give the job a key that it has "
      "not had: lockstep exec --job KEY");
}

base::Status StartAgent(const Election& election, base::UniqueFd listener) {
  const int kept = listener.get();
  return process::ForkDaemon(kept, [&] { return election.agent(std::move(listener)); })
      .WithFrame("start the job's agent on this host");
}

}  // namespace

std::string ElectionAddress(uid_t uid, const base::SipKey& secret, std::string_view job_key) {
  std::array<char, 17> hash{};
  std::snprintf(hash.data(), hash.size(), "%016llx",
                static_cast<unsigned long long>(base::SipHash(secret, job_key)));
  return "@lockstep-exec-" + std::to_string(uid) + "-" + hash.data();
}

base::Result<proto::Adopted> MeetAgent(const Election& election, const proto::AdoptRequest& request,
                                       const base::Clock& clock) {
  const base::SteadyTime deadline = clock.Now() + election.time_limit;
  int elections = 0;
  for (int pause = 1;; pause = std::min(2 * pause, kPauseMillisecondsMax)) {
    proto::AdoptReply reply;
    const base::Status asked =
        net::BlockingCall(election.address, request, &reply, deadline, clock);
    if (asked.ok() && reply.has_adopted()) return reply.adopted();
    if (asked.ok()) return proto::FromProto(reply.error());
    if (asked.code() == base::Code::kDeadlineExceeded) {
      return asked.WithFrame(
          "meet the job's agent on this host (is it stopped? `ss -xlp` shows whose the name is)");
    }
    if (asked.code() == base::Code::kPermissionDenied) return HeldByOthers(election, asked);
    if (!HasNoAgent(asked)) return asked.WithFrame("meet the job's agent on this host");
    if (clock.Now() >= deadline) {
      return base::DeadlineExceededError(
          "meet the job's agent on this host: none has answered in " +
          base::FormatDuration(election.time_limit));
    }
    base::Result<base::UniqueFd> listener = net::ListenUnix(election.address);
    if (listener.ok()) {
      if (++elections > kElectionsMax) {
        return base::UnavailableError(
            "meet the job's agent on this host: " + std::to_string(kElectionsMax) +
            " were started, and each ended before it answered; see the agent.log of job "
            "directories");
      }
      RETURN_IF_ERROR(StartAgent(election, *std::move(listener)));
      continue;
    }
    if (listener.status().code() != base::Code::kAlreadyExists) return listener.status();
    // Somebody else is elected and does not listen yet, or an agent is about to end.
    ::poll(nullptr, 0, pause);
  }
}

}  // namespace lockstep::launcher
