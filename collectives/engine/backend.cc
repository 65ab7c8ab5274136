// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/backend.h"

#include <algorithm>
#include <utility>

namespace lockstep::collectives {

base::GroupId GroupSpec::Id() const {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a: the value is only compared and shown
  const auto add = [&hash](uint64_t byte) { hash = (hash ^ (byte & 0xff)) * 0x100000001b3u; };
  const auto add_word = [&add](uint32_t word) {
    for (int shift = 0; shift < 32; shift += 8) add(word >> shift);
  };
  for (const std::string* text : {&job, &name}) {
    for (const char c : *text) add(static_cast<unsigned char>(c));
    add(0);
  }
  add_word(instance);
  add_word(static_cast<uint32_t>(split_from.value()));
  add_word(static_cast<uint32_t>(split_from.value() >> 32));
  for (const base::Rank member : world_ranks) add_word(static_cast<uint32_t>(member.value()));
  return base::GroupId(hash);
}

GroupInfo InfoOf(const GroupSpec& spec, std::string backend) {
  return {.name = spec.name,
          .instance = spec.instance,
          .id = spec.Id(),
          .epoch = spec.epoch,
          .rank = spec.rank,
          .size = static_cast<int>(spec.world_ranks.size()),
          .world_ranks = spec.world_ranks,
          .backend = std::move(backend)};
}

GroupSpec DerivedSpecs::Next(const GroupSpec& parent, OpKind kind, std::string name,
                             std::vector<base::Rank> world_ranks) {
  const base::Rank self = parent.world_ranks[static_cast<size_t>(parent.rank.value())];
  const auto place = std::find(world_ranks.begin(), world_ranks.end(), self);
  GroupSpec spec = parent;
  if (kind == OpKind::kSplit) {
    spec.instance = 1;
    spec.split_from = parent.Id();
  } else {
    spec.split_from = base::GroupId();
    const std::lock_guard<std::mutex> lock(mutex_);
    spec.instance = ++attempts_[{name, world_ranks}];
  }
  spec.rank = base::GroupRank(static_cast<int>(place - world_ranks.begin()));
  spec.name = std::move(name);
  spec.world_ranks = std::move(world_ranks);
  return spec;
}

}  // namespace lockstep::collectives
