// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/backend.h"

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
  for (const base::Rank member : world_ranks) add_word(static_cast<uint32_t>(member.value()));
  return base::GroupId(hash);
}

}  // namespace lockstep::collectives
