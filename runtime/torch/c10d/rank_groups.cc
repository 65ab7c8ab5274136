// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/c10d/rank_groups.h"

#include <algorithm>
#include <string>

#include "runtime/torch/c10d/python_lock_release.h"
#include "runtime/torch/c10d/tensor_call.h"

namespace lockstep::train {
namespace {

int64_t Nanoseconds(std::chrono::milliseconds timeout) {
  return std::chrono::nanoseconds(timeout).count();
}

RankGroups::GroupHandle Checked(int32_t code, lockstep_group* made, const lockstep_status& status) {
  if (code != 0) Throw(std::string("making a process group: ") + status.text);
  return RankGroups::GroupHandle(made);
}

}  // namespace

std::shared_ptr<RankGroups> RankGroups::Open() {
  lockstep_session* session = nullptr;
  lockstep_status status;
  if (lockstep_session_open(&session, &status) != 0) Throw(status.text);
  return std::shared_ptr<RankGroups>(new RankGroups(session));
}

RankGroups::~RankGroups() {
  const PythonLockRelease release;
  world_.reset();
  lockstep_session_close(session_);
}

bool RankGroups::HoldsAll(const std::vector<int64_t>& world_ranks) const {
  const auto world_size = static_cast<size_t>(lockstep_session_world_size(session_));
  return world_ranks.empty() || world_ranks.size() == world_size;
}

RankGroups::GroupHandle RankGroups::MakeGroup(const std::vector<int64_t>& world_ranks,
                                              std::chrono::milliseconds timeout) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (world_ != nullptr) return MakeSubset(world_ranks, timeout);
  if (!HoldsAll(world_ranks)) {
    Throw("the first process group of the backend lockstep holds " +
          std::to_string(world_ranks.size()) + " of the job's " +
          std::to_string(lockstep_session_world_size(session_)) +
          " ranks, and others are made from one of all of them; call "
          "init_process_group(\"lockstep\") or "
          "new_group(backend=\"lockstep\") on all ranks first");
  }
  world_ = TakeWorld(timeout);
  return TakeWorld(timeout);  // another handle of the same group
}

RankGroups::GroupHandle RankGroups::TakeWorld(std::chrono::milliseconds timeout) {
  lockstep_group* made = nullptr;
  lockstep_status status;
  const int32_t code = lockstep_session_world_group(session_, Nanoseconds(timeout), &made, &status);
  GroupHandle group = Checked(code, made, status);
  lockstep_group_set_timeout(group.get(), Nanoseconds(timeout));
  return group;
}

RankGroups::GroupHandle RankGroups::MakeSubset(const std::vector<int64_t>& world_ranks,
                                               std::chrono::milliseconds timeout) {
  std::vector<int32_t> members;
  for (int32_t member = 0; member < lockstep_group_size(world_.get()); ++member) {
    const int32_t rank = lockstep_group_world_rank(world_.get(), member);
    if (HoldsAll(world_ranks) ||
        std::find(world_ranks.begin(), world_ranks.end(), rank) != world_ranks.end())
      members.push_back(member);
  }
  const lockstep_options options{.timeout_ns = Nanoseconds(timeout), .scale = 1};
  lockstep_group* made = nullptr;
  lockstep_status status;
  const int32_t code =
      lockstep_subset(world_.get(), members.data(), members.size(), &options, &made, &status);
  GroupHandle group = Checked(code, made, status);
  lockstep_group_set_timeout(group.get(), Nanoseconds(timeout));
  return group;
}

RankGroups::GroupHandle RankGroups::ShrinkToSurvivors(std::chrono::milliseconds timeout) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (world_ == nullptr) {
    Throw(
        "shrinking to the survivors before there was a process group; call "
        "init_process_group(\"lockstep\") first");
  }
  const lockstep_options options{.timeout_ns = Nanoseconds(timeout), .scale = 1};
  lockstep_group* made = nullptr;
  lockstep_status status;
  int32_t code = lockstep_shrink_to_survivors(world_.get(), &options, &made, &status);
  GroupHandle left = Checked(code, made, status);
  // Of one that dies meanwhile the next call learns: it is made from what this one leaves.
  world_ = std::move(left);
  code = lockstep_duplicate(world_.get(), &options, &made, &status);
  GroupHandle group = Checked(code, made, status);
  lockstep_group_set_timeout(group.get(), Nanoseconds(timeout));
  return group;
}

std::vector<std::pair<int, std::string>> RankGroups::LostRanks() const {
  std::vector<lockstep_lost_rank> lost(static_cast<size_t>(lockstep_session_world_size(session_)));
  lost.resize(
      std::min(lost.size(), lockstep_session_lost_ranks(session_, lost.data(), lost.size())));
  std::vector<std::pair<int, std::string>> all;
  for (const lockstep_lost_rank& one : lost) all.emplace_back(one.rank, one.why);
  return all;
}

}  // namespace lockstep::train
