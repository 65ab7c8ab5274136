// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// mpi_program.c over Lockstep's groups, under the same mpirun and over the same MPI, which it loads
// through the liblockstep_mpi_*.so beside it (or LOCKSTEP_MPI_LIBRARY):
//   mpirun -np 3 with_lockstep
//   mpirun -np 3 with_lockstep 9    ends at once, and says that rank 1 left, and in which op
//   mpirun -np 3 lockstep exec -- with_lockstep    also with an agent: lockstep status, records of
//                                                  each call
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Dtype;
using lockstep::collectives::Reduction;

constexpr size_t kWeights = 1000;
constexpr int kBatches = 10;

Status Run(int batches_of_rank_1) {
  ASSIGN_OR_RETURN(const auto session,
                   lockstep::rank::Session::Create({.backend = lockstep::rank::Backend::kMpi}));
  ASSIGN_OR_RETURN(const auto world, session->WorldGroup());
  world->SetTimeout(std::chrono::seconds(10));  // of each op, should somebody not come
  const int rank = world->rank().value();

  std::vector<float> weights(kWeights);
  std::vector<float> gradient(kWeights);
  const Buffer buffer{gradient.data(), kWeights, Dtype::kF32, {}};
  const int batches = rank == 1 ? batches_of_rank_1 : kBatches;
  for (int batch = 0; batch < batches; ++batch) {
    for (float& element : gradient) element = static_cast<float>(rank + batch);
    RETURN_IF_ERROR(world->AllReduce(buffer, buffer, Reduction::kAverage)->Wait());
    for (size_t i = 0; i < kWeights; ++i) weights[i] += gradient[i];
  }
  std::printf("rank %d of %d: weight %.1f\n", rank, world->size(),
              static_cast<double>(weights.back()));
  return lockstep::base::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  const Status status = Run(argc > 1 ? std::atoi(argv[1]) : kBatches);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
