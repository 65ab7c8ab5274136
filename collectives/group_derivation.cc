// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Group: the groups that are made from one.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/engine/own_deadline.h"
#include "collectives/group.h"

namespace lockstep::collectives {
namespace {

// Of the names of groups that were made smaller.
constexpr std::string_view kRest = "/rest";
constexpr std::string_view kSurvivors = "/survivors";
constexpr std::string_view kSubset = "/subset";

}  // namespace

base::Status Group::GatherNumbers(std::span<const int32_t> mine, std::span<int32_t> all,
                                  OpOptions options, OwnDeadline& own) {
  return own.Await(*AllGather({mine.data(), mine.size(), Dtype::kI32},
                              {all.data(), all.size(), Dtype::kI32}, std::move(options)));
}

base::Result<std::shared_ptr<Group>> Group::Split(int color, int key, OpOptions options) {
  if (color < 0 && color != kNoColor) {
    return base::InvalidArgumentError("split by color " + std::to_string(color) +
                                      ": a color is 0 or more, or kNoColor");
  }
  RETURN_IF_ERROR(CheckStream(OpKind::kSplit, options));
  OwnDeadline own(MakeOp(OpKind::kSplit, Dtype::kU8, options).timeout);
  const int32_t mine[2] = {color, key};
  std::vector<int32_t> all(2 * static_cast<size_t>(size()));
  RETURN_IF_ERROR(GatherNumbers(mine, all, options, own));
  const uint64_t number = ++split_count_;
  if (color == kNoColor)
    return Derive({.kind = OpKind::kSplit, .color = color, .key = key}, own.deadline);
  std::vector<std::pair<int32_t, int>> members;  // key, rank here
  for (int member = 0; member < size(); ++member) {
    const auto at = 2 * static_cast<size_t>(member);
    if (all[at] == color) members.emplace_back(all[at + 1], member);
  }
  std::sort(members.begin(), members.end());
  Derivation derivation{
      .kind = OpKind::kSplit,
      .name = info().name + "/" + std::to_string(number) + "." + std::to_string(color),
      .color = color,
      .key = key};
  for (const auto& [_, member] : members)
    derivation.world_ranks.push_back(info().world_ranks[static_cast<size_t>(member)]);
  return Derive(std::move(derivation), own.deadline);
}

base::Result<std::shared_ptr<Group>> Group::Duplicate(OpOptions options) {
  return Split(0, rank().value(), std::move(options));
}

std::string Group::SubsetName() const {
  return info().name.substr(0, info().name.find('/')) + std::string(kSubset);
}

base::Result<std::shared_ptr<Group>> Group::Subset(std::span<const base::GroupRank> members,
                                                   OpOptions options) {
  RETURN_IF_ERROR(CheckStream(OpKind::kGrow, options));
  const OwnDeadline own(MakeOp(OpKind::kGrow, Dtype::kU8, options).timeout);
  Derivation derivation{.kind = OpKind::kGrow, .name = SubsetName()};  // from nothing
  const std::string doing = "making a subset of group " + info().name + ": rank ";
  for (const base::GroupRank member : members) {
    RETURN_IF_ERROR(CheckRoot(OpKind::kGrow, member));
    const base::Rank named = info().world_ranks[static_cast<size_t>(member.value())];
    std::vector<base::Rank>& ranks = derivation.world_ranks;
    if (std::find(ranks.begin(), ranks.end(), named) != ranks.end())
      return base::InvalidArgumentError(doing + member.ToString() + " is named twice");
    ranks.push_back(named);
  }
  if (std::find(members.begin(), members.end(), rank()) == members.end()) {
    return base::InvalidArgumentError(doing + rank().ToString() +
                                      " calls it and is not among its members");
  }
  return Derive(std::move(derivation), own.deadline);
}

base::Result<std::shared_ptr<Group>> Group::Shrink(std::span<const base::GroupRank> excluded,
                                                   OpOptions options) {
  RETURN_IF_ERROR(CheckStream(OpKind::kShrink, options));
  const OwnDeadline own(MakeOp(OpKind::kShrink, Dtype::kU8, options).timeout);
  Derivation derivation{.kind = OpKind::kShrink, .name = info().name + std::string(kRest)};
  for (const base::GroupRank member : excluded) RETURN_IF_ERROR(CheckRoot(OpKind::kShrink, member));
  for (int member = 0; member < size(); ++member) {
    if (std::find(excluded.begin(), excluded.end(), base::GroupRank(member)) == excluded.end())
      derivation.world_ranks.push_back(info().world_ranks[static_cast<size_t>(member)]);
  }
  if (std::find(excluded.begin(), excluded.end(), rank()) != excluded.end()) {
    return base::InvalidArgumentError("shrinking group " + info().name + ": rank " +
                                      rank().ToString() +
                                      " is among the excluded; only those that are left call it");
  }
  derivation.reason = "shrank group " + info().name + " without it, at " + options.call_site.file +
                      ":" + std::to_string(options.call_site.line);
  return Derive(std::move(derivation), own.deadline);
}

base::Result<std::shared_ptr<Group>> Group::ShrinkToSurvivors(OpOptions options) {
  RETURN_IF_ERROR(CheckStream(OpKind::kShrink, options));
  const OwnDeadline own(MakeOp(OpKind::kShrink, Dtype::kU8, options).timeout);
  return DeriveSurvivors({.kind = OpKind::kShrink,
                          .name = SurvivorsName(info().name),
                          .world_ranks = info().world_ranks},
                         own.deadline);
}

/// Some may have been through a group between that others never had.
std::string Group::SurvivorsName(std::string_view name) {
  for (const std::string_view suffix : {kSurvivors, kRest, kSurvivors}) {
    while (name.ends_with(suffix)) name.remove_suffix(suffix.size());
  }
  return std::string(name) + std::string(kSurvivors);
}

base::Result<std::shared_ptr<Group>> Group::DeriveSurvivors(Derivation, const OpDeadline&) {
  return base::FailedPreconditionError(
      "shrinking group " + info().name +
      ": nobody tells this process which ranks are gone. Groups of host backends learn it where "
      "the "
      "job is started with `lockstep run --on-rank-failure keep`; over mpi and nccl, and without "
      "that, call Shrink without the ranks that the error of the failed op names, 8 at most");
}

base::Result<std::shared_ptr<Group>> Group::Grow(std::span<const base::Rank> added,
                                                 OpOptions options) {
  RETURN_IF_ERROR(CheckStream(OpKind::kGrow, options));
  const OwnDeadline own(MakeOp(OpKind::kGrow, Dtype::kU8, options).timeout);
  Derivation derivation{
      .kind = OpKind::kGrow, .name = SubsetName(), .world_ranks = info().world_ranks};
  for (const base::Rank member : added) {
    if (std::find(derivation.world_ranks.begin(), derivation.world_ranks.end(), member) !=
        derivation.world_ranks.end()) {
      return base::InvalidArgumentError("growing group " + info().name + ": rank " +
                                        member.ToString() + " is in it already");
    }
    derivation.world_ranks.push_back(member);
  }
  return Derive(std::move(derivation), own.deadline);
}

}  // namespace lockstep::collectives
