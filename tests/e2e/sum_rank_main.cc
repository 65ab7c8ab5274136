// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that adds up with the others until that fails: sum_rank TIMEOUT_MS [OPS [JOIN_MS]]. Says
// "up RANK PID" after the first op, and after the failure "RANK failed after MS ms blamed RANKS:
// CODE TEXT"; TERM does not end it before that. With OPS it stops after so many: "RANK sum SUM over
// BACKEND"; "RANK bits DIGEST", those of a sum that depend on the order in which it is made; and
// rank 0 "way: " and what Group::Explain says. It exits with 0 in all of these cases, and else with
// 1 and the reason.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Dtype;
using lockstep::collectives::OpKind;
using lockstep::collectives::Reduction;

constexpr size_t kCount = 300'007;

void TellFailure(int rank, std::chrono::steady_clock::duration took, const Status& status) {
  std::string blamed;
  for (const auto& subject : status.subjects()) {
    if (subject.rank) blamed += (blamed.empty() ? "" : ",") + subject.rank->ToString();
  }
  std::printf(
      "%d failed after %lld ms blamed %s: %s\n", rank,
      static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()),
      blamed.c_str(), status.ToString().c_str());
  std::fflush(stdout);
}

/// Of many magnitudes, the same in each run.
std::vector<float> UnevenValues(int rank) {
  std::vector<float> values(kCount);
  auto state = static_cast<uint32_t>(rank) + 1;
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = std::ldexp(static_cast<float>(state >> 8), -static_cast<int>(state >> 27));
  }
  return values;
}

/// FNV-1a.
uint64_t DigestOf(const std::vector<float>& values) {
  uint64_t digest = 0xcbf29ce484222325;
  for (const float value : values)
    digest = (digest ^ std::bit_cast<uint32_t>(value)) * 0x100000001b3;
  return digest;
}

Status Run(std::chrono::milliseconds timeout, long ops, std::chrono::milliseconds join_timeout) {
  ASSIGN_OR_RETURN(const auto session, lockstep::rank::Session::Create());
  ASSIGN_OR_RETURN(const auto world, session->WorldGroup(join_timeout));
  const int rank = world->rank().value();
  std::vector<float> values(kCount);
  const Buffer buffer{values.data(), values.size(), Dtype::kF32};
  for (long op = 0; ops == 0 || op < ops; ++op) {
    std::fill(values.begin(), values.end(), static_cast<float>(rank + 1));
    const auto since = std::chrono::steady_clock::now();
    const Status status =
        world->AllReduce(buffer, buffer, Reduction::kSum, {.timeout = timeout})->Wait();
    if (!status.ok()) {
      TellFailure(rank, std::chrono::steady_clock::now() - since, status);
      return lockstep::base::OkStatus();
    }
    if (op > 0) continue;
    std::printf("up %d %d\n", rank, static_cast<int>(::getpid()));
    std::fflush(stdout);
  }
  std::printf("%d sum %.0f over %s\n", rank, static_cast<double>(values[kCount - 1]),
              world->info().backend.c_str());
  std::vector<float> uneven = UnevenValues(rank);
  const Buffer sums{uneven.data(), uneven.size(), Dtype::kF32};
  RETURN_IF_ERROR(world->AllReduce(sums, sums, Reduction::kSum, {.timeout = timeout})->Wait());
  std::printf("%d bits %016llx\n", rank, static_cast<unsigned long long>(DigestOf(uneven)));
  if (rank == 0)
    std::printf("way: %s\n", world->Explain(OpKind::kAllReduce, Dtype::kF32, kCount).c_str());
  return world->Barrier()->Wait();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 100;
  ::signal(SIGTERM, SIG_IGN);
  const Status status =
      Run(std::chrono::milliseconds(std::atol(argv[1])), argc > 2 ? std::atol(argv[2]) : 0,
          std::chrono::milliseconds(argc > 3 ? std::atol(argv[3]) : 30'000));
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
