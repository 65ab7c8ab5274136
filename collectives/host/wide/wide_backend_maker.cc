// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/wide/wide_backend_maker.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "collectives/host/wide/placement.h"
#include "collectives/host/wide/wide_backend.h"
#include "collectives/host/wide/wide_calls.h"

namespace lockstep::collectives {
namespace {

Placement PlacementOf(const TcpMembers& members) {
  std::vector<int32_t> memory;
  for (int member = 0; member < members.count(); ++member)
    memory.push_back(members.card(member).memory);
  return {memory, members.self()};
}

std::string WhyNotWide(const Placement& placement) {
  return "; also within machines, where " + std::to_string(placement.largest()) +
         " members share one: groups of several machines use shared memory with at most " +
         std::to_string(kMaxMachineMembers) + " on each";
}

}  // namespace

base::Result<std::unique_ptr<Backend>> WideBackendMaker::Make(const GroupSpec& spec,
                                                              const OpDeadline& deadline) {
  ASSIGN_OR_RETURN(const std::shared_ptr<TcpEnd> end, tcp_->Enter(spec, deadline));
  Placement placement = PlacementOf(end->members());
  if (placement.machine_count() == 1) {
    tcp_->Leave(spec);
    return memory_->Make(spec, deadline);
  }
  if (placement.largest() == 1) return tcp_->Finish(end);
  if (placement.largest() > kMaxMachineMembers) return tcp_->Finish(end, WhyNotWide(placement));
  std::unique_ptr<Backend> memory;
  if (placement.neighbors().size() > 1) {
    auto made = MakeWithin(spec, placement.neighbors(), placement.mine(), deadline);
    if (!made.ok()) {
      tcp_->Leave(spec);
      return made.status();
    }
    memory = *std::move(made);
  }
  return std::unique_ptr<Backend>(std::make_unique<WideBackend>(
      tcp_->shared_service(), end, std::move(placement), std::move(memory)));
}

base::Result<std::unique_ptr<Backend>> WideBackendMaker::MakeWithin(const GroupSpec& spec,
                                                                    const std::vector<int>& members,
                                                                    int machine,
                                                                    const OpDeadline& deadline) {
  GroupSpec within = spec;
  within.name += "/machine" + std::to_string(machine);
  within.world_ranks.clear();
  for (const int member : members)
    within.world_ranks.push_back(spec.world_ranks[static_cast<size_t>(member)]);
  const auto place = std::find(members.begin(), members.end(), spec.rank.value());
  within.rank = base::GroupRank(static_cast<int>(place - members.begin()));
  return memory_->Make(within, deadline);
}

}  // namespace lockstep::collectives
