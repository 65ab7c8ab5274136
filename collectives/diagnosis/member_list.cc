// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/member_list.h"

#include <utility>

namespace lockstep::collectives {

MemberList::MemberList(const std::vector<base::Rank>& ranks) {
  if (ranks.empty()) return;
  const auto value = [&](size_t place) { return int64_t{ranks[place].value()}; };
  MemberList spaced = Spaced(ranks[0], ranks.size() > 1 ? value(1) - value(0) : 0, ranks.size());
  for (size_t place = 0; place < ranks.size(); ++place) {
    if (value(place) == spaced.first_ + spaced.stride_ * static_cast<int64_t>(place)) continue;
    size_ = ranks.size();
    uneven_ = ranks;
    return;
  }
  *this = std::move(spaced);
}

MemberList MemberList::Spaced(base::Rank first, int64_t stride, size_t size) {
  MemberList list;
  if (size == 0) return list;
  list.size_ = size;
  list.first_ = first.value();
  list.stride_ = size > 1 ? stride : 0;
  return list;
}

}  // namespace lockstep::collectives
