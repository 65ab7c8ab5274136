// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/node_watch.h"

#include <algorithm>
#include <string>
#include <utility>

#include "collectives/recorder/record.h"
#include "collectives/recorder/ring_copy.h"
#include "launcher/diagnosis/pace_messages.h"
#include "launcher/diagnosis/seen_process.h"
#include "runtime/proto/evidence.pb.h"

namespace lockstep::launcher {
namespace {

// With what is said of the processes it has to fit into a message (net::kFramePayloadBytesMax).
constexpr size_t kRingsBytesMax = size_t{640} << 10;
constexpr size_t kRingHeadBytes = 1024;  // of a ring without its records, with a few groups

}  // namespace

NodeWatch::NodeWatch(const Config& config, Deps deps) : config_(config), deps_(std::move(deps)) {
  looks_.SeeSockets();
  looks_.Clear();
  ScheduleLook();
}

void NodeWatch::ScheduleLook() {
  timer_ = deps_.loop.After(config_.look_every, [this] {
    ScheduleLook();
    Look();
  });
}

void NodeWatch::Look() {
  const std::vector<WatchedRank> ranks = deps_.ranks();
  if (ranks.empty() && !looks_.empty()) {
    looks_.Clear();
    paces_.Clear();
  }
  const base::SteadyTime now = deps_.loop.Now();
  const bool stands = looks_.LookAtHeads(ranks, config_.least_wait, now).suspicious;
  paces_.Look(looks_.RingsAtHeads(), now);
  if (std::exchange(stands_, stands) != stands) deps_.say(stands);
}

proto::LookReply NodeWatch::Answer(const proto::LookRequest& request) {
  if (request.pace_only()) {
    proto::LookReply reply;
    reply.set_pace(PackPaces(paces_.Take(deps_.loop.Now()), kRingsBytesMax));
    return reply;
  }
  const std::vector<WatchedRank> ranks = deps_.ranks();
  const base::SteadyTime now = deps_.loop.Now();
  // What is in the rings is sent as it stands there.
  std::vector<collectives::SeenRank> seen = looks_.Gather(ranks, 0, now);

  proto::LookReply reply;
  const auto rings = looks_.rings();
  const size_t bytes = kRingsBytesMax / std::max<size_t>(ranks.size(), 1);
  const size_t each = bytes > kRingHeadBytes ? (bytes - kRingHeadBytes) / LOCKSTEP_RECORD_BYTES : 0;
  size_t left = kRingsBytesMax;
  for (collectives::SeenRank& rank : seen) {
    const auto ring = rings.find(rank.rank);
    if (ring == rings.end()) continue;
    auto packed =
        collectives::PackRing(ring->second, std::min<size_t>(request.records_max(), each));
    rank.ring_read = packed.ok() && packed->size() <= left;
    if (!rank.ring_read) continue;
    left -= packed->size();
    proto::RingCopy& copy = *reply.add_rings();
    copy.set_rank(rank.rank.value());
    copy.set_packed(*std::move(packed));
  }

  proto::GangProcesses processes;
  processes.set_monotonic_ns(static_cast<uint64_t>(now.time_since_epoch().count()));
  for (size_t i = 0; i < seen.size(); ++i) {
    proto::RankSeen& process = *processes.add_ranks();
    process = ToProto(seen[i]);
    process.set_incarnation(ranks[i].incarnation.value());
  }
  reply.set_processes(processes.SerializeAsString());
  return reply;
}

}  // namespace lockstep::launcher
