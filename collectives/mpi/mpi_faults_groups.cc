// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_faults_groups.h"

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "collectives/agreement.h"
#include "collectives/testing/footprint.h"

namespace lockstep::collectives::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A group to which rank 1 comes when rank 0 has given it up.
base::Status Miss(FaultRank& rank, Group& world, const std::string& name) {
  for (const int joins : {0, 1}) {
    if (rank.rank() == joins) {
      const base::Status status = rank.Join(name, false, 0, milliseconds(10)).status();
      if (status.code() != base::Code::kDeadlineExceeded)
        return base::InternalError("joining " + name + " alone: " + status.ToString());
    }
    RETURN_IF_ERROR(world.Barrier({.timeout = seconds(20)})->Wait());
  }
  return base::OkStatus();
}

/// How often the engine's thread, which has nothing to do, goes to sleep in half a second.
float EngineRests() {
  const auto rests = [] {
    float count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::string name, line;
      std::ifstream(task.path() / "comm") >> name;
      std::ifstream status(task.path() / "status");
      while (name == "mpi" && std::getline(status, line)) {
        constexpr std::string_view kKey = "voluntary_ctxt_switches:";
        if (line.starts_with(kKey)) count += std::stof(line.substr(kKey.size()));
      }
    }
    return count;
  };
  std::this_thread::sleep_for(milliseconds(300));  // it rests longest once it has been idle
  const float before = rests();
  std::this_thread::sleep_for(milliseconds(500));
  return rests() - before;
}

}  // namespace

void EndsWhileMaking(FaultRank& rank, std::atomic<milliseconds>& making_takes) {
  making_takes = milliseconds(400);
  std::atomic<int> given_up{0};
  std::vector<std::thread> joins;
  for (int i = 0; i < 6 && rank.rank() != 0; ++i) {
    joins.emplace_back([&rank, &given_up, i] {
      const auto group = rank.JoinOf("group " + std::to_string(i), {base::Rank(1), base::Rank(2)},
                                     false, FaultRank::kTimeout);
      if (!group.ok()) ++given_up;
    });
  }
  for (std::thread& join : joins) join.join();
  if (rank.rank() == 0) rank.AwaitWordOfOthers("given up");
  rank.Tell("given up", [&](float& value) {
    value = static_cast<float>(given_up);
    return base::OkStatus();
  });
  rank.Tell("end", [&](float&) {
    rank.EndEngine();
    return base::OkStatus();
  });
}

void Churn(FaultRank& rank, int groups) {
  const auto world = rank.MustJoin("world");
  int missed = 0;
  const base::GroupRank both[] = {base::GroupRank(1), base::GroupRank(0)};
  const auto make_and_drop = [&](int count) -> base::Status {
    for (int i = 0; i < count; ++i) {
      const OpOptions options{.timeout = seconds(20)};
      ASSIGN_OR_RETURN(const auto group,
                       i % 2 == 0 ? world->Duplicate(options) : world->Subset(both, options));
      float one = 1;
      RETURN_IF_ERROR(group->AllReduce({&one, 1}, {&one, 1}, Reduction::kSum, options)->Wait());
      if (one != 2) return base::DataLossError("a sum of two");
      if (i % 2 == 0) RETURN_IF_ERROR(Miss(rank, *world, "missed " + std::to_string(missed++)));
    }
    return base::OkStatus();
  };
  rank.Tell("warm", [&](float&) { return make_and_drop(groups / 3); });
  const auto before = Footprint::Settled();
  const size_t bytes_before = mallinfo2().uordblks;
  rank.Tell("groups", [&](float&) { return make_and_drop(groups); });
  rank.Tell("left", [&](float&) -> base::Status {
    const std::string excess = Footprint::ExcessLeft(before);
    return excess.empty() ? base::OkStatus() : base::ResourceExhaustedError(excess);
  });
  rank.AwaitWordOfOthers("left");
  rank.Tell("rests", [&](float& times) {
    times = EngineRests();
    return base::OkStatus();
  });
  rank.Tell("KiB left", [&](float& kib) {
    kib = static_cast<float>(static_cast<int64_t>(mallinfo2().uordblks - bytes_before)) / 1024;
    return base::OkStatus();
  });
  rank.AwaitWordOfOthers("KiB left");
}

void LargeCounts(FaultRank& rank) {
  const auto group = rank.MustJoin("world");
  const OpOptions patient{.timeout = seconds(250)};
  const size_t count = (size_t{1} << 31) + 4099;
  std::vector<uint8_t> data(count);
  const Buffer buffer{data.data(), count, Dtype::kU8};
  const auto value_of = [](size_t of, size_t i) {
    return static_cast<uint8_t>((i + (i >> 31) * 3 + of) * 7);
  };
  const auto fill = [&] {
    for (size_t i = 0; i < count; ++i) data[i] = value_of(static_cast<size_t>(rank.rank()), i);
  };
  const auto check = [&](const auto& expected) -> base::Status {
    for (size_t i = 0; i < count; ++i) {
      if (data[i] != expected(i)) return base::DataLossError("element " + std::to_string(i));
    }
    return base::OkStatus();
  };
  rank.Tell("broadcast", [&](float&) -> base::Status {
    fill();
    RETURN_IF_ERROR(group->Broadcast(buffer, base::GroupRank(1), patient)->Wait());
    return check([&](size_t i) { return value_of(1, i); });
  });
  rank.Tell("all_reduce", [&](float&) -> base::Status {
    fill();
    RETURN_IF_ERROR(group->AllReduce(buffer, buffer, Reduction::kSum, patient)->Wait());
    return check([&](size_t i) { return static_cast<uint8_t>(value_of(0, i) + value_of(1, i)); });
  });
}

void Differ(FaultRank& rank) {
  const bool guilty = rank.rank() == 2;
  const size_t self = static_cast<size_t>(rank.rank());
  std::vector<float> data(1000, 1.0f), out(1000, 1.0f);
  // As many in all, so that the whole buffers are alike.
  const std::vector<size_t> counts =
      guilty ? std::vector<size_t>{499, 1, 500} : std::vector<size_t>{500, 0, 500};
  const Buffer whole{data.data(), data.size(), Dtype::kF32};
  const Buffer part{out.data(), counts[self], Dtype::kF32};
  const auto tell = [&](const std::string& name, bool check_calls, const auto& call) {
    const auto group = rank.MustJoin("of " + name, check_calls);
    rank.Tell(name, [&](float& value) {
      const base::Status status = call(*group)->Wait();
      value = *std::min_element(data.begin(), data.end());
      return status;
    });
  };
  tell("all_gather_v", true, [&](Group& group) { return group.AllGatherV(part, whole, counts); });
  tell("reduce_scatter_v", true,
       [&](Group& group) { return group.ReduceScatterV(whole, part, counts, Reduction::kSum); });
  tell("all_to_all_v", false, [&](Group& group) {  // rank 2 sends 7 to rank 0, which expects 6
    std::vector<size_t> sent(3, 0), expected(3, 0);
    if (guilty) sent[0] = 7;
    if (self == 0) expected[2] = 6;
    return group.AllToAllV({out.data(), sent[0], Dtype::kF32}, sent,
                           {data.data(), expected[2], Dtype::kF32}, expected);
  });
  const auto group = rank.MustJoin("of buffers");
  if (rank.rank() == 1) data[777] += 1;
  rank.Tell("buffer", [&](float&) { return CheckAgreement(*group, whole); });
  rank.TellOf("afterwards", *group);
}

void ChangesTimeout(FaultRank& rank) {
  const auto group = rank.MustJoin("world");
  rank.TellOf("before", *group, 1, Reduction::kSum, seconds(20));
  if (rank.rank() != 0) return rank.AwaitWordOf(0, "changed");
  group->SetTimeout(milliseconds(50));
  rank.Tell("changed", [&](float&) { return group->Barrier()->Wait(); });
}

}  // namespace lockstep::collectives::testing
