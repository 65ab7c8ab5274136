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
  if (world_ != nullptr) return MakeRest(world_ranks, timeout);
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

RankGroups::GroupHandle RankGroups::MakeRest(const std::vector<int64_t>& world_ranks,
                                             std::chrono::milliseconds timeout) {
  std::vector<int32_t> excluded;
  for (int32_t rank = 0; !HoldsAll(world_ranks) && rank < lockstep_group_size(world_.get());
       ++rank) {
    if (std::find(world_ranks.begin(), world_ranks.end(), rank) == world_ranks.end())
      excluded.push_back(rank);
  }
  const lockstep_options options{.timeout_ns = Nanoseconds(timeout), .scale = 1};
  lockstep_group* made = nullptr;
  lockstep_status status;
  const int32_t code =
      lockstep_shrink(world_.get(), excluded.data(), excluded.size(), &options, &made, &status);
  GroupHandle group = Checked(code, made, status);
  lockstep_group_set_timeout(group.get(), Nanoseconds(timeout));
  return group;
}

}  // namespace lockstep::train
