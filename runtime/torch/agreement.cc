// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/agreement.h"

#include <cstdint>
#include <string>
#include <vector>

#include "collectives/work.h"

namespace lockstep::train {

using base::Status;
using collectives::Dtype;

Status Agree(collectives::Group& group, const Status& mine) {
  const auto code = static_cast<int64_t>(mine.code());
  std::vector<int64_t> codes(static_cast<size_t>(group.size()));
  const Status told =
      group
          .AllGather({&code, 1, Dtype::kI64}, {codes.data(), codes.size(), Dtype::kI64},
                     {.tag = "agreement"})
          ->Wait();
  if (!mine.ok()) return mine;
  RETURN_IF_ERROR(told);
  for (size_t member = 0; member < codes.size(); ++member) {
    if (codes[member] == 0) continue;
    const base::Rank rank = WorldRankOf(group, member);
    return base::AbortedError("rank " + rank.ToString() + " failed here with " +
                              std::string(base::CodeName(static_cast<base::Code>(codes[member]))) +
                              "; its own message says why")
        .WithSubject({.rank = rank});
  }
  return base::OkStatus();
}

base::Rank WorldRankOf(const collectives::Group& group, size_t member) {
  return group.info().world_ranks[member];
}

}  // namespace lockstep::train
