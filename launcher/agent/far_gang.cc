// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/far_gang.h"

#include <cstdint>
#include <utility>

#include "collectives/recorder/ring_copy.h"
#include "launcher/agent/control_server.h"
#include "launcher/diagnosis/seen_process.h"
#include "runtime/base/logging.h"
#include "runtime/proto/evidence.pb.h"

namespace lockstep::launcher {

void FarGang::SetWorld(const topology::WorldSpec& world, base::NodeIndex self) {
  places_ = topology::PlaceRanks(world);
  for (const topology::RankPlace& place : places_) {
    if (place.node != self) others_.insert(place.node);
  }
}

void FarGang::OnStanding(base::NodeIndex node, bool stands) {
  if (stands && others_.contains(node)) {
    standing_.insert(node);
  } else {
    standing_.erase(node);
  }
}

void FarGang::OnNodeLost(base::NodeIndex node) {
  others_.erase(node);
  standing_.erase(node);
}

void FarGang::Look(size_t records_max, std::function<void(FarRanks)> done) {
  struct Looking {
    size_t awaited;
    FarRanks seen;
    std::function<void(FarRanks)> done;
  };
  if (others_.empty()) return done({});
  const auto looking = std::make_shared<Looking>(Looking{others_.size(), {}, std::move(done)});
  proto::ControlRequest request;
  request.set_version(kControlVersion);
  request.mutable_look()->set_records_max(static_cast<uint32_t>(records_max));
  const std::set<base::NodeIndex> nodes = others_;  // an answer may come from within the call
  for (const base::NodeIndex node : nodes) {
    ask_(node, request, [this, node, looking](const proto::ControlReply& reply) {
      if (reply.has_look()) looking->seen.merge(Read(node, reply.look()));
      if (--looking->awaited == 0) looking->done(std::move(looking->seen));
    });
  }
}

FarRanks FarGang::Read(base::NodeIndex node, const proto::LookReply& reply) const {
  FarRanks ranks;
  proto::GangProcesses processes;
  if (!processes.ParseFromString(reply.processes())) return ranks;
  const auto is_its_own = [this, node](int64_t rank) {
    return rank >= 0 && rank < std::ssize(places_) &&
           places_[static_cast<size_t>(rank)].node == node;
  };
  for (const proto::RankSeen& seen : processes.ranks()) {
    if (!is_its_own(seen.rank())) continue;
    ranks[base::Rank(seen.rank())] = {.incarnation = base::Incarnation(seen.incarnation()),
                                      .process = ProcessOf(seen),
                                      .ring_read = seen.ring_read(),
                                      .ring = {}};
  }
  const base::Duration ahead = loop_.Now().time_since_epoch() -
                               base::Duration(static_cast<int64_t>(processes.monotonic_ns()));
  for (const proto::RingCopy& copy : reply.rings()) {
    const auto found = ranks.find(base::Rank(copy.rank()));
    if (found == ranks.end()) continue;
    auto ring = collectives::UnpackRing(copy.packed(), ahead);
    found->second.ring_read = ring.ok();
    if (ring.ok()) {
      found->second.ring = *std::move(ring);
    } else {
      LOG(WARNING) << "node " << node << ", rank " << copy.rank() << ": " << ring.status();
    }
  }
  return ranks;
}

}  // namespace lockstep::launcher
