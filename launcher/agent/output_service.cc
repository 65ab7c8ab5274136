// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/output_service.h"

#include <algorithm>
#include <string>

#include "launcher/agent/rank_setup.h"

namespace lockstep::launcher {

void OutputFollowers::Note(const proto::ReadOutputRequest& request,
                           const proto::ControlReply& reply) {
  seq_.AssertHeld();
  if (request.follower() == 0) return;
  const std::pair key(request.follower(), request.node());
  if (request.leaving() || reply.has_error()) {
    seen_at_.erase(key);
  } else if (seen_at_.size() < kMax || seen_at_.contains(key)) {
    seen_at_[key] = loop_.Now();
  }
  if (done_) Check();
}

void OutputFollowers::AwaitNone(base::Duration timeout, std::function<void()> done) {
  seq_.AssertHeld();
  done_ = std::move(done);
  give_up_at_ = loop_.Now() + timeout;
  Check();
}

void OutputFollowers::Check() {
  const base::SteadyTime now = loop_.Now();
  std::erase_if(seen_at_, [now](const auto& seen) { return now - seen.second >= kPatience; });
  if (seen_at_.empty() || now >= give_up_at_) {
    check_ = loop_.After(base::Duration(0), [this] { std::exchange(done_, {})(); });
    return;
  }
  base::SteadyTime due = give_up_at_;
  for (const auto& [key, seen_at] : seen_at_) due = std::min(due, seen_at + kPatience);
  check_ = loop_.At(due, [this] { Check(); });
}

void OutputService::SetWorld(const topology::WorldSpec& world, base::NodeIndex self) {
  self_ = self;
  places_ = topology::PlaceRanks(world);
}

base::Result<std::vector<FileReader::Part>> OutputService::PartsOf(
    const proto::ReadOutputRequest& request) const {
  if (static_cast<size_t>(request.positions_size()) > kPositionsMax) {
    return base::InvalidArgumentError(
        "read the output of " + std::to_string(request.positions_size()) +
        " streams at once; the limit is " + std::to_string(kPositionsMax));
  }
  if (request.round() > round_.value()) {
    return base::OutOfRangeError("read the output of round " + std::to_string(request.round()) +
                                 ": the job has come to round " + round_.ToString());
  }
  const std::string folder = record_.RoundFolder(base::Round(request.round()));
  std::vector<FileReader::Part> parts;
  for (const proto::OutputPosition& position : request.positions()) {
    const base::Rank rank(position.rank());
    const bool is_here = rank.value() >= 0 && static_cast<size_t>(rank.value()) < places_.size() &&
                         places_[static_cast<size_t>(rank.value())].node == self_;
    if (!is_here) {
      return base::OutOfRangeError("read the output of rank " + rank.ToString() +
                                   ": it is not one of node " + self_.ToString());
    }
    const RankFiles files = RankFilesOf(folder, rank);
    parts.push_back(
        {.path = position.standard_error() ? files.standard_error : files.standard_output,
         .offset = position.offset()});
  }
  return parts;
}

void OutputService::Answer(const proto::ReadOutputRequest& request, OnAnswer answer) {
  base::Result<std::vector<FileReader::Part>> parts = PartsOf(request);
  if (!parts.ok()) return answer(Refusal(parts.status()));
  // Before the files are read: what is complete now holds all that will be read.
  proto::ControlReply reply;
  reply.mutable_output()->set_current_round(round_.value());
  reply.mutable_output()->set_complete(complete_);
  const size_t bytes_max = std::min(request.bytes_max(), kBytesMax);
  reader_.Read(*std::move(parts), bytes_max,
               [this, request, reply = std::move(reply), answer = std::move(answer)](
                   base::Result<std::vector<FileReader::Piece>> pieces) mutable {
                 if (!pieces.ok()) return answer(Refusal(pieces.status()));
                 for (size_t i = 0; i < pieces->size(); ++i) {
                   const proto::OutputPosition& position = request.positions(static_cast<int>(i));
                   proto::OutputPiece& piece = *reply.mutable_output()->add_pieces();
                   piece.set_rank(position.rank());
                   piece.set_standard_error(position.standard_error());
                   piece.set_offset((*pieces)[i].offset);
                   piece.set_content(std::move((*pieces)[i].content));
                   piece.set_file_bytes((*pieces)[i].file_bytes);
                 }
                 followers_.Note(request, reply);
                 answer(std::move(reply));
               });
}

}  // namespace lockstep::launcher
