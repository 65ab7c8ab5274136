// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/job_cards.h"

#include <algorithm>
#include <utility>

#include "runtime/attach/attach_wire.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {

size_t JobCards::member_count() const {
  size_t count = 0;
  for (const auto& [id, group] : groups_) count += group.members.size();
  return count;
}

void JobCards::BeginRound(base::Round round) {
  groups_.clear();
  card_bytes_ = 0;
  round_ = round;
}

base::Status JobCards::Check(const proto::Cards& news) const {
  const auto is_member = [&news](int member) {
    return member >= 0 && member < news.member_count();
  };
  if (news.member_count() < 1 ||
      news.member_count() > static_cast<int>(LOCKSTEP_ATTACH_MAX_CARDS)) {
    return base::InvalidArgumentError("a group of " + std::to_string(news.member_count()) +
                                      " members");
  }
  for (const proto::Card& card : news.come()) {
    if (!is_member(card.member()) || card.content().empty() ||
        card.content().size() > LOCKSTEP_ATTACH_MAX_CARD_BYTES) {
      return base::InvalidArgumentError("a card of member " + std::to_string(card.member()) +
                                        " of " + std::to_string(news.member_count()) + " with " +
                                        std::to_string(card.content().size()) + " bytes");
    }
  }
  if (!std::all_of(news.given_up().begin(), news.given_up().end(), is_member) ||
      !std::all_of(news.gone().begin(), news.gone().end(), is_member)) {
    return base::InvalidArgumentError("members beyond the number of a group");
  }
  return base::OkStatus();
}

base::Status JobCards::CheckRoom(const proto::Cards& news) const {
  if (!groups_.contains(news.group()) && groups_.size() >= kGroupsMax) {
    return base::ResourceExhaustedError(
        "no more groups over several machines that not all members have come to: there are " +
        std::to_string(groups_.size()) + ", the limit");
  }
  size_t bytes = card_bytes_;
  for (const proto::Card& card : news.come()) bytes += card.content().size();
  if (bytes <= kCardBytesMax) return base::OkStatus();
  return base::ResourceExhaustedError(
      "no more members of groups over several machines that not all have come to: with these, what "
      "they say of themselves would be " +
      std::to_string(bytes) + " bytes, and the limit is " + std::to_string(kCardBytesMax) +
      "; make fewer such groups at a time");
}

base::Status JobCards::Take(base::NodeIndex from, const proto::Cards& news) {
  RETURN_IF_ERROR(Check(news));
  auto place = groups_.find(news.group());
  const bool is_current = news.round() == round_.value();
  if (is_current && place == groups_.end() && news.come().empty()) {
    return base::OkStatus();  // the table is on its way to them
  }
  base::Status error;
  if (!is_current) {
    error = base::FailedPreconditionError("ranks of round " + std::to_string(news.round()) +
                                          " want to meet, but round " + round_.ToString() +
                                          " is in force");
  } else if (error = CheckRoom(news); error.ok()) {
    if (place == groups_.end()) {
      place = groups_.try_emplace(news.group()).first;
      place->second.member_count = news.member_count();
    }
    error = Add(from, news, place->second);
  }
  if (!error.ok()) Refuse(from, news, error);
  if (!is_current || place == groups_.end()) return base::OkStatus();
  Group& group = place->second;
  if (!error.ok()) DropNode(from, group);
  std::set<int> left;
  for (const auto& [index, member] : group.members) {
    if (!member.waits) left.insert(index);
  }
  for (const int index : news.gone()) {
    if (!Stop(from, index, group)) continue;
    const auto member = group.members.find(index);
    card_bytes_ -= member->second.card.size();
    group.members.erase(member);
  }
  // Before who gives up is heard: it may say so with the last card, and half a group is none.
  const bool complete = group.waiting == group.member_count;
  if (!complete) {
    for (const int index : news.given_up()) Stop(from, index, group);
  }
  if (group.members.size() < static_cast<size_t>(group.member_count)) left.clear();
  if (!complete && news.given_up().empty() && group.waiting > 0) return base::OkStatus();
  const proto::ToAgent table = TableOf(news.group(), group, left);
  const std::set<base::NodeIndex> told =
      complete ? std::move(group.nodes) : std::set<base::NodeIndex>{from};
  if (complete || group.waiting == 0) Forget(place);
  for (const base::NodeIndex node : told) send_(node, table);
  return base::OkStatus();
}

base::Status JobCards::Add(base::NodeIndex from, const proto::Cards& news, Group& group) {
  if (group.member_count != news.member_count()) {
    return base::FailedPreconditionError("the members of one group disagree about their number: " +
                                         std::to_string(news.member_count()) + ", and before " +
                                         std::to_string(group.member_count) +
                                         "; do all ranks run the same program?");
  }
  group.nodes.insert(from);
  for (const proto::Card& card : news.come()) {
    Member& member = group.members[card.member()];
    if (!member.card.empty() && member.waits) {
      return base::AlreadyExistsError("another process, on node " + member.node.ToString() +
                                      ", is member " + std::to_string(card.member()) +
                                      " of this group already");
    }
    card_bytes_ += card.content().size() - member.card.size();
    member = {.card = card.content(), .node = from, .waits = true};
    ++group.waiting;
  }
  return base::OkStatus();
}

bool JobCards::Stop(base::NodeIndex from, int index, Group& group) {
  const auto member = group.members.find(index);
  if (member == group.members.end() || member->second.node != from) return false;
  if (std::exchange(member->second.waits, false)) --group.waiting;
  return true;
}

/// Its agent forgets them with the error that it is told.
void JobCards::DropNode(base::NodeIndex node, Group& group) {
  for (auto it = group.members.begin(); it != group.members.end();) {
    const bool is_of_node = it->second.node == node;
    if (is_of_node && it->second.waits) --group.waiting;
    if (is_of_node) card_bytes_ -= it->second.card.size();
    it = is_of_node ? group.members.erase(it) : std::next(it);
  }
  group.nodes.erase(node);
}

void JobCards::Forget(Groups::iterator group) {
  for (const auto& [index, member] : group->second.members) card_bytes_ -= member.card.size();
  groups_.erase(group);
}

void JobCards::Refuse(base::NodeIndex node, const proto::Cards& news, const base::Status& why) {
  proto::ToAgent message;
  message.mutable_cards()->set_round(news.round());
  message.mutable_cards()->set_group(news.group());
  *message.mutable_cards()->mutable_error() = proto::ToProto(why);
  send_(node, message);
}

proto::ToAgent JobCards::TableOf(uint64_t id, const Group& group, const std::set<int>& left) const {
  proto::ToAgent message;
  proto::CardTable& table = *message.mutable_cards();
  table.set_round(round_.value());
  table.set_group(id);
  table.mutable_cards()->Reserve(group.member_count);
  for (int index = 0; index < group.member_count; ++index) table.add_cards();
  for (const auto& [index, member] : group.members) {
    if (!left.contains(index)) table.set_cards(index, member.card);
  }
  return message;
}

}  // namespace lockstep::launcher
