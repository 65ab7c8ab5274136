// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/topology/mpi_environment.h"

#include <algorithm>
#include <array>

namespace lockstep::topology {
namespace {

// How a library finds its server, and which one it is of; PMIX_MCA_ tunes libpmix.
constexpr auto kWorldPrefixes = std::to_array<std::string_view>(
    {"PMI_", "PMI2_", "PMIX_", "OMPI_COMM_WORLD_", "OMPI_UNIVERSE_SIZE", "OMPI_MCA_ess",
     "OMPI_MCA_orte_", "OMPI_MCA_pmix", "OMPI_MCA_schizo", "MPI_LOCALRANKID", "MPI_LOCALNRANKS",
     "HYDI_"});

}  // namespace

bool IsMpiWorldVariable(std::string_view name) {
  if (name.starts_with("PMIX_MCA_")) return false;
  return std::any_of(kWorldPrefixes.begin(), kWorldPrefixes.end(),
                     [name](std::string_view prefix) { return name.starts_with(prefix); });
}

void SetMpiWorld(const Environment& world, Environment& environment) {
  std::erase_if(environment,
                [](const auto& variable) { return IsMpiWorldVariable(variable.first); });
  environment.insert(world.begin(), world.end());
}

}  // namespace lockstep::topology
