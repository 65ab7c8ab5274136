// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/far_gang.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "collectives/diagnosis/ring_evidence.h"
#include "collectives/recorder/ring_copy.h"
#include "collectives/recorder/ring_reader.h"
#include "launcher/agent/control_server.h"
#include "launcher/diagnosis/pace_messages.h"
#include "launcher/diagnosis/seen_process.h"
#include "runtime/base/logging.h"
#include "runtime/proto/evidence.pb.h"
#include "runtime/proto/pace.pb.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kLookTime = 500ms;
constexpr base::Duration kLongAgo = 24h;
constexpr base::Duration kTakingTime = 2s;

base::Status TakeRing(const std::string& packed, base::Duration ahead, uint64_t now_ns,
                      FarRank& far) {
  far.seen.ring_read = false;
  ASSIGN_OR_RETURN(std::vector<uint64_t> ring, collectives::UnpackRing(packed, ahead));
  ASSIGN_OR_RETURN(const auto content, collectives::ReadRing(collectives::MemoryOf(ring)));
  const base::Rank rank = far.seen.rank;
  const collectives::SeenProcess process = far.seen.process;
  std::vector<collectives::SeenSocket> sockets = std::move(far.seen.sockets);
  const bool sockets_cut = far.seen.sockets_cut;
  far.seen = collectives::FromRing(content, now_ns);
  far.seen.rank = rank;
  far.seen.process = process;
  far.seen.sockets = std::move(sockets);
  far.seen.sockets_cut = sockets_cut;
  far.ring = std::move(ring);
  return base::OkStatus();
}

}  // namespace

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
  if (looking_ != nullptr) Finish();
  if (others_.empty()) return done({});
  const auto looking = looking_ = std::make_shared<Looking>();
  looking->awaited = others_.size();
  looking->done = std::move(done);
  // Who answers later would tell of another moment than the others.
  deadline_ = loop_.After(kLookTime, [this] { Finish(); });
  proto::ControlRequest request;
  request.set_version(kControlVersion);
  request.mutable_look()->set_records_max(static_cast<uint32_t>(records_max));
  const std::set<base::NodeIndex> nodes = others_;  // an answer may come from within the call
  for (const base::NodeIndex node : nodes) {
    ask_(node, request, [this, node, looking](const proto::ControlReply& reply) {
      if (looking != looking_) return;
      if (reply.has_look()) looking->seen.merge(Read(node, reply.look()));
      if (--looking->awaited == 0) Finish();
    });
  }
}

void FarGang::TakePaces(std::function<void(std::vector<collectives::PaceWindow>)> done) {
  if (taking_ != nullptr) FinishTaking();
  if (others_.empty()) return done({});
  const auto taking = taking_ = std::make_shared<Taking>();
  taking->awaited = others_.size();
  taking->done = std::move(done);
  taking_deadline_ = loop_.After(kTakingTime, [this] { FinishTaking(); });
  proto::ControlRequest request;
  request.set_version(kControlVersion);
  request.mutable_look()->set_pace_only(true);
  const std::set<base::NodeIndex> nodes = others_;
  for (const base::NodeIndex node : nodes) {
    ask_(node, request, [this, node, taking](const proto::ControlReply& reply) {
      if (taking != taking_) return;
      proto::NodePace told;
      if (reply.has_look() && told.ParseFromString(reply.look().pace())) {
        for (collectives::PaceWindow& window : WindowsOf(told)) {
          if (IsOf(node, window.rank.value())) taking->windows.push_back(std::move(window));
        }
      }
      if (--taking->awaited == 0) FinishTaking();
    });
  }
}

void FarGang::FinishTaking() {
  const auto taking = std::exchange(taking_, nullptr);
  taking_deadline_.reset();
  taking->done(std::move(taking->windows));
}

bool FarGang::IsOf(base::NodeIndex node, int64_t rank) const {
  return rank >= 0 && rank < std::ssize(places_) && places_[static_cast<size_t>(rank)].node == node;
}

void FarGang::Finish() {
  const auto looking = std::exchange(looking_, nullptr);
  deadline_.reset();
  looking->done(std::move(looking->seen));
}

FarRanks FarGang::Read(base::NodeIndex node, const proto::LookReply& reply) const {
  FarRanks ranks;
  proto::GangProcesses processes;
  if (!processes.ParseFromString(reply.processes())) return ranks;
  for (const proto::RankSeen& told : processes.ranks()) {
    if (!IsOf(node, told.rank())) continue;
    const base::Rank rank(told.rank());
    FarRank& far = ranks[rank];
    far.incarnation = base::Incarnation(told.incarnation());
    far.seen = {.rank = rank,
                .process = ProcessOf(told),
                .ring_read = told.ring_read(),
                .sockets = SocketsOf(told),
                .sockets_cut = told.sockets_cut()};
    far.seen.process.ended_ago =
        std::clamp(far.seen.process.ended_ago, base::Duration(0), kLongAgo);
  }
  const auto now_ns = static_cast<uint64_t>(loop_.Now().time_since_epoch().count());
  // Of any number: it wraps around.
  const base::Duration ahead(static_cast<int64_t>(now_ns - processes.monotonic_ns()));
  for (const proto::RingCopy& copy : reply.rings()) {
    const auto found = ranks.find(base::Rank(copy.rank()));
    if (found == ranks.end()) continue;
    if (const base::Status read = TakeRing(copy.packed(), ahead, now_ns, found->second); !read.ok())
      LOG(WARNING) << "node " << node << ", rank " << copy.rank() << ": " << read;
  }
  return ranks;
}

}  // namespace lockstep::launcher
