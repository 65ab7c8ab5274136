// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that trains in step with the others, one of which computes for longer: pace_rank SLOW
// PERCENT STEPS. In each step all do the same work, rank SLOW by PERCENT more of it; then they add
// up. Work is counted, not timed. Or pace_rank ring MEGABYTES STEPS: each sends to the next and
// receives from the one before, in each step.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "collectives/group.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::GroupRank;
using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Dtype;
using lockstep::collectives::Reduction;
using lockstep::collectives::Transfer;

constexpr uint64_t kRoundsOfWork = 5'000'000;  // some 10 ms

uint64_t Compute(uint64_t rounds, uint64_t state) {
  for (uint64_t i = 0; i < rounds; ++i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
  }
  return state;
}

Status Train(int slow, uint64_t percent, int steps) {
  ASSIGN_OR_RETURN(const auto session, lockstep::rank::Session::Create());
  ASSIGN_OR_RETURN(const auto group, session->WorldGroup());
  const bool is_slow = session->world().rank.value() == slow;
  const uint64_t rounds = kRoundsOfWork * (is_slow ? 100 + percent : 100) / 100;
  std::vector<float> values(1000, 1.0f);
  const Buffer buffer{values.data(), values.size(), Dtype::kF32};
  for (int step = 0; step < steps; ++step) {
    session->ReportProgress(step);
    values[0] = Compute(rounds, 88172645463325252u + static_cast<uint64_t>(step)) % 2 == 0 ? 1 : 2;
    RETURN_IF_ERROR(group->AllReduce(buffer, buffer, Reduction::kAverage)->Wait());
  }
  std::printf("rank %d is through\n", session->world().rank.value());
  return lockstep::base::OkStatus();
}

Status SendAround(size_t megabytes, int steps) {
  ASSIGN_OR_RETURN(const auto session, lockstep::rank::Session::Create());
  ASSIGN_OR_RETURN(const auto group, session->WorldGroup());
  const int rank = session->world().rank.value(), size = session->world().world_size;
  std::vector<uint8_t> out(megabytes << 20), in(megabytes << 20);
  for (int step = 0; step < steps; ++step) {
    const Transfer both[] = {
        Transfer::Send({out.data(), out.size(), Dtype::kU8}, GroupRank((rank + 1) % size)),
        Transfer::Recv({in.data(), in.size(), Dtype::kU8}, GroupRank((rank + size - 1) % size))};
    RETURN_IF_ERROR(group->Batch(both)->Wait());
  }
  std::printf("rank %d is through\n", rank);
  return lockstep::base::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 100;
  const auto amount = static_cast<uint64_t>(std::atoi(argv[2]));
  const Status status = std::string_view(argv[1]) == "ring"
                            ? SendAround(amount, std::atoi(argv[3]))
                            : Train(std::atoi(argv[1]), amount, std::atoi(argv[3]));
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
