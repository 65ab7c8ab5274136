// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Ranks that add up what each of them has, and a group made of every second one:
//   lockstep run -np 4 bazel-bin/examples/all_reduce/all_reduce
#include <cstdio>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::Status;
using lockstep::collectives::Dtype;
using lockstep::collectives::Reduction;

Status Run() {
  ASSIGN_OR_RETURN(const auto session, lockstep::rank::Session::Create());
  ASSIGN_OR_RETURN(const auto world, session->WorldGroup());
  const int rank = world->rank().value();

  // Memory that the other ranks can reach: the sum needs no copy.
  constexpr size_t kCount = 1 << 20;
  ASSIGN_OR_RETURN(const auto memory, world->AllocBuffer(kCount * sizeof(float)));
  auto* const values = reinterpret_cast<float*>(memory->data());
  for (size_t i = 0; i < kCount; ++i) values[i] = static_cast<float>(rank + 1);
  RETURN_IF_ERROR(
      world
          ->AllReduce({values, kCount, Dtype::kF32}, {values, kCount, Dtype::kF32}, Reduction::kSum)
          ->Wait());

  ASSIGN_OR_RETURN(const auto half, world->Split(rank % 2, rank));
  double average = rank;
  RETURN_IF_ERROR(
      half->AllReduce({&average, 1, Dtype::kF64}, {&average, 1, Dtype::kF64}, Reduction::kAverage)
          ->Wait());
  std::printf("rank %d of %d: sum %.0f, average of its half %.1f\n", rank, world->size(),
              static_cast<double>(values[kCount - 1]), average);
  return world->Barrier()->Wait();  // nobody leaves while another still needs it
}

}  // namespace

int main() {
  const Status status = Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
