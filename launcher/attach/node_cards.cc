// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/attach/node_cards.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "runtime/attach/shared_memory.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proto/status_conversion.h"

namespace lockstep::launcher {
namespace {

/// For each member its card's length and bytes, as CARDS has them (attach_wire.h).
std::string TableOf(const proto::CardTable& table) {
  std::string bytes;
  for (const std::string& card : table.cards()) {
    const auto length = static_cast<uint32_t>(card.size());
    bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
    bytes += card;
  }
  return bytes;
}

base::Result<base::UniqueFd> FileOf(const std::string& bytes) {
  base::UniqueFd file(lockstep_shared_memory_create("lockstep-cards", bytes.size()));
  if (file.valid() &&
      ::pwrite(file.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size())) {
    return file;
  }
  return base::ErrnoStatus(
      errno, "passing on a table of " + std::to_string(bytes.size()) + " bytes of ranks' cards");
}

bool IsComplete(const proto::CardTable& table) {
  return std::none_of(table.cards().begin(), table.cards().end(),
                      [](const std::string& card) { return card.empty(); });
}

}  // namespace

void NodeCards::BeginRound(base::Round round, size_t rank_count) {
  seq_.AssertHeld();
  groups_.clear();
  round_ = round;
  rank_count_ = rank_count;
}

void NodeCards::EndRound() {
  seq_.AssertHeld();
  groups_.clear();
}

base::Status NodeCards::Publish(MemberCard card) {
  seq_.AssertHeld();
  if (!groups_.contains(card.group) && groups_.size() >= kGroupsMax) {
    return base::ResourceExhaustedError(
        "no more groups over several machines that not all members have come to: there are " +
        std::to_string(groups_.size()) + ", the limit");
  }
  Group& group = groups_[card.group];
  if (group.member_count == 0) group.member_count = card.member_count;
  if (group.member_count != card.member_count) {
    return base::FailedPreconditionError("the members of one group disagree about their number: " +
                                         std::to_string(card.member_count) + ", and before " +
                                         std::to_string(group.member_count) +
                                         "; do all ranks run the same program?");
  }
  if (group.waiting.contains(card.member)) {
    return base::AlreadyExistsError("another process is member " + std::to_string(card.member) +
                                    " of this group already");
  }
  group.waiting[card.member] = {.connection = card.connection};
  proto::Card& wire = *group.unsent.add_come();
  wire.set_member(card.member);
  wire.set_content(std::move(card.content));
  SendSoon(card.group, group, group.waiting.size() < rank_count_ ? kGatherTime : base::Duration(0));
  return base::OkStatus();
}

bool NodeCards::Find(uint64_t connection, Place* place) {
  for (auto group = groups_.begin(); group != groups_.end(); ++group) {
    auto& waiting = group->second.waiting;
    const auto member = std::find_if(waiting.begin(), waiting.end(), [&](const auto& entry) {
      return entry.second.connection == connection;
    });
    if (member == waiting.end()) continue;
    *place = {group, member};
    return true;
  }
  return false;
}

void NodeCards::GiveUp(uint64_t connection) {
  seq_.AssertHeld();
  Place place;
  if (!Find(connection, &place) || std::exchange(place.member->second.gives_up, true)) return;
  Group& group = place.group->second;
  group.unsent.add_given_up(place.member->first);
  const bool all = std::all_of(group.waiting.begin(), group.waiting.end(),
                               [](const auto& entry) { return entry.second.gives_up; });
  SendSoon(place.group->first, group, all ? base::Duration(0) : kGatherTime);
}

void NodeCards::Forget(uint64_t connection) {
  seq_.AssertHeld();
  Place place;
  if (!Find(connection, &place)) return;
  Group& group = place.group->second;
  group.unsent.add_gone(place.member->first);
  group.waiting.erase(place.member);
  SendSoon(place.group->first, group, base::Duration(0));
}

void NodeCards::SendSoon(uint64_t id, Group& group, base::Duration pause) {
  if (group.send.active() && pause.count() > 0) return;
  group.send = deps_.loop.After(pause, [this, id] { Send(id); });
}

// The answer may come from within deps_.send.
void NodeCards::Send(uint64_t id) {
  const auto place = groups_.find(id);
  proto::Cards message = std::move(place->second.unsent);
  place->second.unsent.Clear();
  message.set_round(round_.value());
  message.set_group(id);
  message.set_member_count(place->second.member_count);
  place->second.send.reset();
  if (place->second.waiting.empty()) groups_.erase(place);
  deps_.send(message);
}

/// The coordinator has their cards still where it is the table that was wrong, or where they went
/// out after those that it refused.
void NodeCards::TakeBack(uint64_t id, Group& group) {
  std::set<int> out;
  for (const auto& [index, member] : group.waiting) out.insert(index);
  for (const proto::Card& card : group.unsent.come()) out.erase(card.member());
  proto::Cards news;
  *news.mutable_gone() = group.unsent.gone();
  for (const int index : out) news.add_gone(index);
  group.unsent = std::move(news);
  group.send.reset();
  if (!group.unsent.gone().empty()) SendSoon(id, group, base::Duration(0));
}

void NodeCards::OnTable(const proto::CardTable& table) {
  seq_.AssertHeld();
  const auto place = groups_.find(table.group());
  if (table.round() != round_.value() || place == groups_.end()) return;
  Group& group = place->second;
  base::Status error = table.has_error() ? proto::FromProto(table.error()) : base::OkStatus();
  if (error.ok() && table.cards_size() != group.member_count)
    error = base::DataLossError("the coordinator sent the cards of another group");
  base::UniqueFd file;
  const std::string bytes = error.ok() ? TableOf(table) : "";
  if (error.ok()) {
    base::Result<base::UniqueFd> made = FileOf(bytes);
    error = made.status();
    if (made.ok()) file = *std::move(made);
  }
  const bool all = !error.ok() || IsComplete(table);
  std::vector<uint64_t> answered;
  if (!error.ok()) TakeBack(place->first, group);
  for (auto it = group.waiting.begin(); it != group.waiting.end();) {
    const bool due = all || it->second.gives_up;
    if (due) answered.push_back(it->second.connection);
    it = due ? group.waiting.erase(it) : std::next(it);
  }
  // What is still to be said is that they are gone, if that.
  if (group.waiting.empty() && !group.send.active()) groups_.erase(place);
  for (const uint64_t connection : answered)
    deps_.answer(connection, error, file.get(), bytes.size());
}

}  // namespace lockstep::launcher
