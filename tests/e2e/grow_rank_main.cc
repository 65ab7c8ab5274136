// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank of groups that grow: grow_rank LOST MEMBERS ADDED... with ranks of the world, "0,2". The
// first group is of MEMBERS; each ADDED makes it larger, by those in it with Grow and by the others
// with Subset. In each its members add up and say "RANK in SIZE sum SUM over BACKEND in round N".
// Where LOST is not -1 that rank kills itself first, the rest go on with the group of the
// survivors, and those of the last group try to take LOST in: "RANK refused after MS ms: CODE
// TEXT". With 0 in all of these cases, else with 1 and the reason.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::GroupRank;
using lockstep::base::Rank;
using lockstep::base::Result;
using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Dtype;
using lockstep::collectives::Group;
using lockstep::collectives::Reduction;

constexpr size_t kCount = 50'021;
constexpr auto kTimeout = std::chrono::seconds(60);

std::vector<Rank> RanksIn(const std::string& text) {
  std::vector<Rank> ranks;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) ranks.emplace_back(std::stoi(word));
  return ranks;
}

bool Has(const std::vector<Rank>& ranks, Rank rank) {
  return std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
}

class Member {
 public:
  Member(int lost, std::vector<std::vector<Rank>> steps)
      : lost_(lost), steps_(std::move(steps)), values_(kCount) {}

  Status Run() {
    ASSIGN_OR_RETURN(session_, lockstep::rank::Session::Create());
    ASSIGN_OR_RETURN(whole_, session_->WorldGroup(kTimeout));
    RETURN_IF_ERROR(lost_ < 0 ? AddUp(*whole_) : Lose());
    std::shared_ptr<Group> group;
    std::vector<Rank> members;
    for (const std::vector<Rank>& added : steps_) {
      const bool was_member = Has(members, rank());
      members.insert(members.end(), added.begin(), added.end());
      if (!Has(members, rank())) continue;
      ASSIGN_OR_RETURN(group,
                       was_member ? group->Grow(added, {.timeout = kTimeout}) : Subset(members));
      RETURN_IF_ERROR(AddUp(*group));
      Tell(*group);
    }
    if (lost_ >= 0 && group != nullptr) TakeInTheLost(*group);
    return whole_->Barrier()->Wait();
  }

 private:
  Status AddUp(Group& group) {
    const Buffer buffer{values_.data(), values_.size(), Dtype::kF32};
    std::fill(values_.begin(), values_.end(), static_cast<float>(rank().value() + 1));
    return group.AllReduce(buffer, buffer, Reduction::kSum, {.timeout = kTimeout})->Wait();
  }

  Status Lose() {
    while (AddUp(*whole_).ok()) {
      if (rank().value() == lost_) ::kill(::getpid(), SIGKILL);
    }
    ASSIGN_OR_RETURN(whole_, whole_->ShrinkToSurvivors({.timeout = kTimeout}));
    return AddUp(*whole_);
  }

  Result<std::shared_ptr<Group>> Subset(const std::vector<Rank>& members) {
    const std::vector<Rank>& all = whole_->info().world_ranks;
    std::vector<GroupRank> places;
    for (const Rank member : members)
      places.emplace_back(
          static_cast<int>(std::find(all.begin(), all.end(), member) - all.begin()));
    return whole_->Subset(places, {.timeout = kTimeout});
  }

  void Tell(const Group& group) const {
    std::printf("%d in %d sum %.0f over %s in round %s\n", rank().value(), group.size(),
                static_cast<double>(values_.back()), group.info().backend.c_str(),
                group.info().epoch.ToString().c_str());
    std::fflush(stdout);
  }

  void TakeInTheLost(Group& group) const {
    const Rank lost(lost_);
    const auto since = std::chrono::steady_clock::now();
    const Status status = group.Grow({&lost, 1}, {.timeout = kTimeout}).status();
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - since);
    std::printf("%d refused after %lld ms: %s\n", rank().value(),
                static_cast<long long>(took.count()), status.ToString().c_str());
    std::fflush(stdout);
  }

  Rank rank() const { return session_->world().rank; }

  const int lost_;
  const std::vector<std::vector<Rank>> steps_;
  std::vector<float> values_;
  std::unique_ptr<lockstep::rank::Session> session_;
  std::shared_ptr<Group> whole_;  // of the world, or of its survivors
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 100;
  std::vector<std::vector<Rank>> steps;
  for (int i = 2; i < argc; ++i) steps.push_back(RanksIn(argv[i]));
  const Status status = Member(std::atoi(argv[1]), std::move(steps)).Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
