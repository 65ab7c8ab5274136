// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The mistakes of traps_main.c in a program over Lockstep's groups, over the same MPI:
//   traps_with_lockstep LIBRARY FOLDER TRAP plain|strict
// What became of each call is a line of FOLDER/rank_R: name, state, milliseconds, value, error.
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "collectives/mpi/fault_rank.h"
#include "collectives/mpi/mpi_engine.h"

namespace lockstep::collectives {
namespace {

using Rank = testing::FaultRank;
using std::chrono::seconds;

constexpr int kGuilty = 1;
constexpr size_t kSmall = 4, kLarge = size_t{1} << 20;

/// One call of rank 1 that is not what the others call.
using Call = std::shared_ptr<Work> (*)(Group& group, bool guilty, Buffer data);

std::shared_ptr<Work> SumOf(Group& group, Buffer data) {
  return group.AllReduce(data, data, Reduction::kSum);
}

const std::map<std::string_view, Call> kMistakes = {
    {"half_count",
     [](Group& group, bool guilty, Buffer data) {
       if (guilty) data.count /= 2;
       return SumOf(group, data);
     }},
    {"int_for_float",
     [](Group& group, bool guilty, Buffer data) {
       if (guilty) data.dtype = Dtype::kI32;
       return SumOf(group, data);
     }},
    {"max_for_sum",
     [](Group& group, bool guilty, Buffer data) {
       return group.AllReduce(data, data, guilty ? Reduction::kMax : Reduction::kSum);
     }},
    {"other_root",
     [](Group& group, bool guilty, Buffer data) {
       return group.Broadcast(data, base::GroupRank(guilty ? kGuilty : 0));
     }},
    {"broadcast_for_sum",
     [](Group& group, bool guilty, Buffer data) {
       return guilty ? group.Broadcast(data, base::GroupRank(0)) : SumOf(group, data);
     }},
};

void Mistake(Rank& rank, Call call, size_t count, bool check_calls) {
  const auto group = rank.MustJoin("world", check_calls);
  std::vector<float> data(count, static_cast<float>(rank.rank() + 1));
  rank.Tell("call", [&](float& value) {
    const base::Status status =
        call(*group, rank.rank() == kGuilty, {data.data(), count, Dtype::kF32})->Wait();
    value = data[0];
    return status;
  });
}

void OtherOrder(Rank& rank, bool check_calls) {
  const auto first = rank.MustJoin("first", check_calls);
  const auto second = rank.MustJoin("second", check_calls);
  rank.TellOf("call", rank.rank() == kGuilty ? *second : *first);
  rank.AwaitWordOfOthers("call");  // who leaves sooner would be the others' error
}

/// Everybody sends before it receives.
void SendsFirst(Rank& rank, bool check_calls) {
  const auto group = rank.MustJoin("world", check_calls);
  const auto peer = [&](int distance) {
    return base::GroupRank((rank.rank() + distance + rank.size()) % rank.size());
  };
  std::vector<float> out(kLarge, static_cast<float>(rank.rank() + 1)), in(kLarge);
  const ConstBuffer sent{out.data(), kLarge, Dtype::kF32};
  const Buffer received{in.data(), kLarge, Dtype::kF32};
  const OpOptions patient{.timeout = seconds(20)};
  rank.Tell("together", [&](float& value) {
    const Transfer both[] = {Transfer::Send(sent, peer(1)), Transfer::Recv(received, peer(-1))};
    const base::Status status = group->Batch(both, patient)->Wait();
    value = in[0];
    return status;
  });
  rank.Tell("call", [&](float&) -> base::Status {
    RETURN_IF_ERROR(group->Send(sent, peer(1))->Wait());
    return group->Recv(received, peer(-1))->Wait();
  });
  rank.AwaitWordOfOthers("call");
}

/// Of the seconds that the others wait for a late rank, how many the process burns meanwhile.
void Waits(Rank& rank) {
  const auto group = rank.MustJoin("world");
  const OpOptions patient{.timeout = seconds(20)};
  const auto cpu_seconds = [] {
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  if (!group->Barrier(patient)->Wait().ok()) std::abort();
  const double cpu = cpu_seconds();
  if (rank.rank() == kGuilty) std::this_thread::sleep_for(seconds(1));
  rank.Tell("call", [&](float& value) {
    const base::Status status = group->Barrier(patient)->Wait();
    value = static_cast<float>(cpu_seconds() - cpu);
    return status;
  });
}

int Main(int argc, char** argv) {
  if (argc != 5) return 64;
  alarm(60);  // whatever hangs, no process of this test is left
  const auto engine = MpiEngine::Start({.plugin = argv[1], .end_timeout = seconds(5)});
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 69;
  }
  Rank rank(argv[2], *engine);
  std::string_view trap = argv[3];
  const bool strict = argv[4] == std::string_view("strict");
  if (trap == "other_order") {
    OtherOrder(rank, strict);
  } else if (trap == "sends_first") {
    SendsFirst(rank, strict);
  } else if (trap == "waits") {
    Waits(rank);
  } else {
    constexpr std::string_view kOfMany = "_of_many";
    const bool many = trap.ends_with(kOfMany);
    if (many) trap.remove_suffix(kOfMany.size());
    const auto found = kMistakes.find(trap);
    if (found == kMistakes.end()) return 64;
    Mistake(rank, found->second, many ? kLarge : kSmall, strict);
  }
  return 0;
}

}  // namespace
}  // namespace lockstep::collectives

int main(int argc, char** argv) { return lockstep::collectives::Main(argc, argv); }
