// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// One rank of a gang in which rank 1 does something wrong, for mpirun:
//   mpi_faults LIBRARY FOLDER MODE
// What became of each call is a line of FOLDER/rank_R: name, state, milliseconds, value, error.
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/mpi/fault_rank.h"
#include "collectives/mpi/mpi_engine.h"
#include "collectives/mpi/mpi_faults_groups.h"

namespace {

/// This process stops when it comes to make a communicator.
std::atomic<bool> stops_in_making{false};
/// How long it takes to make that of a part of the world, at least.
std::atomic<std::chrono::milliseconds> making_takes{};

template <class Real>
Real RealOf(const char* name) {
  if (stops_in_making.load()) raise(SIGSTOP);
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Real>(found);
}

}  // namespace

// Calls of MPI that make communicators come here first, since the linker shows these. Handles are
// pointers to Open MPI and numbers to MPICH: both come in a register.
extern "C" int MPI_Comm_idup(void* comm, void* made, void* request) {
  return RealOf<int (*)(void*, void*, void*)>("MPI_Comm_idup")(comm, made, request);
}
extern "C" int MPI_Comm_create_group(void* comm, void* group, int tag, void* made) {
  std::this_thread::sleep_for(making_takes.load());
  return RealOf<int (*)(void*, void*, int, void*)>("MPI_Comm_create_group")(comm, group, tag, made);
}

namespace lockstep::collectives {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Rank = testing::FaultRank;

constexpr int kGuilty = 1;

constexpr size_t kLarge = size_t{4} << 20;

/// A world that works, and a fault of rank 1 while the others are in a large op.
void Fault(Rank& rank, const std::function<void()>& fault) {
  const auto group = rank.Join("world");
  if (!group.ok() || !(*group)->Barrier({.timeout = seconds(20)})->Wait().ok()) std::abort();
  if (rank.rank() == kGuilty) fault();
  rank.TellOf("op", **group, kLarge);
  rank.TellOf("next", **group);
}

/// Where MPI outlives its ranks: `dying` are killed one after the other while the rest are in a
/// large op and a receive; each time these make the group smaller and work in it.
void GoOnWithout(Rank& rank, const std::vector<int>& dying) {
  auto joined = rank.Join("world");
  if (!joined.ok()) std::abort();
  std::shared_ptr<Group> group = std::move(joined).value();
  constexpr int kNext = 10;
  constexpr size_t kFewer = size_t{1} << 18;
  int told = 0;
  for (const int dies : dying) {
    if (rank.rank() == dies) {
      for (const base::Rank other : group->info().world_ranks) {
        if (other.value() != dies) rank.AwaitWordOf(other.value(), told + 1);
      }
      kill(getpid(), SIGKILL);
    }
    const auto& ranks = group->info().world_ranks;
    const base::GroupRank dead(
        static_cast<int>(std::find(ranks.begin(), ranks.end(), base::Rank(dies)) - ranks.begin()));
    float value = 0;
    const OpOptions patient{.timeout = seconds(20)};
    const auto receive = group->Recv({&value, 1, Dtype::kF32}, dead, patient);
    std::vector<float> data(kLarge, 1.0f);
    const Buffer buffer{data.data(), data.size(), Dtype::kF32};
    const auto op = group->AllReduce(buffer, buffer, Reduction::kSum, patient);
    (void)op->WaitFor(milliseconds(50));  // both are under way
    rank.Tell("ready", [](float&) { return base::OkStatus(); });
    rank.Tell("op", [&](float&) { return op->Wait(); });
    rank.Tell("receive", [&](float&) { return receive->Wait(); });
    rank.Tell("shrink", [&](float& size) -> base::Status {
      ASSIGN_OR_RETURN(group, group->Shrink({&dead, 1}, patient));
      size = static_cast<float>(group->size());
      return base::OkStatus();
    });
    for (int i = 0; i < kNext; ++i)
      rank.TellOf("next", *group, kFewer, Reduction::kSum, seconds(20));
    told += 4 + kNext;
  }
  rank.Tell(group->Explain(OpKind::kAllReduce, Dtype::kF32, 1),
            [](float&) { return base::OkStatus(); });
  rank.Tell("later", [&](float&) -> base::Status {
    ASSIGN_OR_RETURN(const auto later, group->Duplicate({.timeout = seconds(20)}));
    return later->Barrier({.timeout = seconds(20)})->Wait();
  });
}

/// No agent tells a rank of MPI who is gone.
void AsksForSurvivors(Rank& rank) {
  const auto group = rank.MustJoin("world");
  rank.Tell("survivors", [&](float&) { return group->ShrinkToSurvivors().status(); });
  rank.TellOf("afterwards", *group, 1, Reduction::kSum, seconds(20));
}

void NeverCalls(Rank& rank) {
  const auto group = rank.Join("world");
  if (!group.ok()) std::abort();
  if (rank.rank() == kGuilty) {
    for (int other = 0; other < rank.size(); ++other) {
      if (other != 1) rank.AwaitWordOf(other);
    }
  }
  rank.TellOf("op", **group, kLarge);
}

/// Rank 2 wants a sum and the others a maximum. (Whose wish counts depends on the library's tree:
/// that of one other rank alone may count for nothing.)
void Mismatch(Rank& rank, bool check_calls) {
  const auto group = rank.Join("world", check_calls);
  if (!group.ok()) std::abort();
  const Reduction wish = (*group)->rank() == base::GroupRank(2) ? Reduction::kSum : Reduction::kMax;
  rank.TellOf("good", **group);
  rank.TellOf("mismatch", **group, 3000, wish);
  rank.TellOf("next", **group);
}

void Refused(Rank& rank, bool check_calls) {
  const auto group = rank.Join("world", check_calls);
  if (!group.ok()) std::abort();
  rank.TellOf("good", **group);
  rank.Tell("refused", [&](float& value) {
    return (*group)
        ->AllReduce({&value, 1, Dtype::kF32},
                    {&value, (rank.rank() == kGuilty) ? 2u : 1u, Dtype::kF32}, Reduction::kSum)
        ->Wait();
  });
  rank.TellOf("next", **group);
}

/// A stuck op of one group, while another group goes on.
void TwoGroups(Rank& rank) {
  const auto stuck = rank.Join("stuck"), well = rank.Join("well"), end = rank.Join("end");
  if (!stuck.ok() || !well.ok() || !end.ok()) std::abort();
  std::shared_ptr<Work> work;
  std::vector<float> data(kLarge, 1.0f);
  const Buffer buffer{data.data(), data.size(), Dtype::kF32};
  if (rank.rank() != kGuilty)
    work = (*stuck)->AllReduce(buffer, buffer, Reduction::kSum, {.timeout = seconds(2)});
  if (work != nullptr) (void)work->WaitFor(milliseconds(50));  // it is under way
  for (int i = 0; i < 20; ++i) rank.TellOf("well", **well);
  if (work != nullptr) rank.Tell("stuck", [&](float&) { return work->Wait(); });
  if (!(*end)->Barrier({.timeout = seconds(20)})->Wait().ok()) std::abort();
  rank.TellOf("well", **well);
}

void LongPhaseHolds(Rank& rank) {
  const auto group = rank.Join("world");
  if (!group.ok()) std::abort();
  if (rank.rank() == kGuilty) {
    const LongPhase phase(**group, seconds(10));
    std::this_thread::sleep_for(3 * Rank::kTimeout);
    rank.TellOf("op", **group);
    return;
  }
  rank.TellOf("op", **group);
}

void MemberLeaves(Rank& rank) {
  auto group = rank.Join("world");
  if (!group.ok()) std::abort();
  rank.TellOf("good", **group);
  const auto end = rank.Join("end");
  if (rank.rank() == kGuilty) group->reset();
  if (rank.rank() != kGuilty) rank.TellOf("op", **group, kLarge);
  if (!end.ok() || !(*end)->Barrier({.timeout = seconds(20)})->Wait().ok()) std::abort();
}

void JoinAlone(Rank& rank) {
  if (rank.rank() == kGuilty) {
    for (int other = 0; other < rank.size(); ++other) {
      if (other != 1) rank.AwaitWordOf(other);
    }
    return;
  }
  rank.Tell("join", [&](float&) { return rank.Join("world", false, 0, Rank::kTimeout).status(); });
}

/// Rank 1 is stopped in the middle of the making of `what`, in which all are but rank 2 of a part
/// of the world. Others work in a group that has nothing to do with it.
void StopsInMaking(Rank& rank, bool of_world) {
  auto world = rank.MustJoin("world"), end = rank.MustJoin("end");
  const base::GroupRank without_guilty[] = {base::GroupRank(0), base::GroupRank(2)};
  const base::GroupRank part[] = {base::GroupRank(0), base::GroupRank(kGuilty)};
  std::shared_ptr<Group> pair;
  if (rank.rank() != kGuilty) {
    auto made = world->Subset(without_guilty, {.timeout = seconds(20)});
    LOCKSTEP_CHECK(made.ok(), made.status().ToString().c_str());
    pair = std::move(made).value();
  }
  if (!end->Barrier({.timeout = seconds(20)})->Wait().ok()) std::abort();
  if (rank.rank() == kGuilty) stops_in_making = true;
  if (of_world || rank.rank() != 2) {
    rank.Tell("making", [&](float&) {
      return of_world ? rank.Join("another", false, 0, Rank::kTimeout).status()
                      : world->Subset(part, {.timeout = Rank::kTimeout}).status();
    });
  } else {
    rank.AwaitWordOf(0, "making");
  }
  for (int i = 0; i < 3; ++i) rank.TellOf("op", *pair);
  rank.Tell("next making",
            [&](float&) { return pair->Duplicate({.timeout = Rank::kTimeout}).status(); });
  rank.AwaitWordOfOthers("next making", kGuilty);
  rank.Tell("end", [&](float& cpu_s) {
    const std::clock_t before = std::clock();
    for (auto* group : {&world, &end, &pair}) group->reset();
    rank.EndEngine();
    cpu_s = static_cast<float>(std::clock() - before) / CLOCKS_PER_SEC;
    return base::OkStatus();
  });
  rank.AwaitWordOfOthers("end", kGuilty);  // an mpirun ends all when one ends
}

/// MPICH 4.0 has 2048 communicators at a time.
void ManyGroups(Rank& rank) {
  const auto world = rank.Join("world");
  if (!world.ok()) std::abort();
  rank.Tell("groups", [&](float& value) {
    for (int i = 0; i < 2200; ++i) {
      const auto group = (*world)->Duplicate({.timeout = seconds(20)});
      RETURN_IF_ERROR(group.status());
      RETURN_IF_ERROR((*group)->Barrier({.timeout = seconds(20)})->Wait());
      value += 1;
    }
    return base::OkStatus();
  });
}

/// A message that nobody receives is of its own group: none that is made later gets it.
void Unreceived(Rank& rank) {
  const auto world = rank.Join("world");
  if (!world.ok()) std::abort();
  rank.Tell("receives of later groups", [&](float& value) -> base::Status {
    const OpOptions options{.timeout = seconds(20)};
    for (int i = 0; i < 20; ++i) {
      float data = -1;
      const Buffer buffer{&data, 1, Dtype::kF32};
      ASSIGN_OR_RETURN(std::shared_ptr<Group> group, (*world)->Duplicate(options));
      if (rank.rank() != kGuilty)
        RETURN_IF_ERROR(group->Send(buffer, base::GroupRank(1), options)->Wait());
      RETURN_IF_ERROR(group->Barrier(options)->Wait());
      group.reset();

      ASSIGN_OR_RETURN(group, (*world)->Duplicate(options));
      if (rank.rank() == kGuilty) {
        RETURN_IF_ERROR(group->Recv(buffer, base::GroupRank(0), options)->Wait());
      } else {
        data = static_cast<float>(i);
        RETURN_IF_ERROR(group->Send(buffer, base::GroupRank(1), options)->Wait());
      }
      RETURN_IF_ERROR(group->Barrier(options)->Wait());
      if (data != static_cast<float>(i)) return base::DataLossError("of another group");
      value += 1;
    }
    return base::OkStatus();
  });
}

/// Of two ops in a row that rank 0 alone calls the second is due first.
void OpBehindAnother(Rank& rank) {
  const auto group = rank.MustJoin("world");
  if (rank.rank() != 0) return rank.AwaitWordOf(0, "first");
  const auto first = group->Barrier({.timeout = seconds(600)});
  const auto second = group->Barrier({.timeout = milliseconds(50)});
  rank.Tell("second", [&](float&) { return second->Wait(); });
  rank.Tell("first", [&](float&) { return first->Wait(); });
}

void WaitsShortly(Rank& rank) {
  const auto group = rank.MustJoin("world");
  const OpOptions patient{.timeout = seconds(20)};
  if (rank.rank() != 0) {
    rank.AwaitWordOf(0, "wait for 5 ms");
    return rank.Tell("op", [&](float&) { return group->Barrier(patient)->Wait(); });
  }
  const auto work = group->Barrier(patient);
  rank.Tell("wait for 5 ms", [&](float& value) {
    const base::Status status = work->WaitFor(milliseconds(5));
    value = work->done() || !work->status().ok() ? 0 : 1;
    return status;
  });
  rank.Tell("op", [&](float&) { return work->WaitFor(seconds(60)); });
}

/// Rank 0 receives what rank 1 sent before it left the group.
void SendsAndLeaves(Rank& rank) {
  auto group = rank.MustJoin("world");
  const auto end = rank.MustJoin("end");
  float value = static_cast<float>(rank.rank());
  const Buffer buffer{&value, 1, Dtype::kF32};
  if (rank.rank() == 1) {
    rank.Tell("send", [&](float&) { return group->Send(buffer, base::GroupRank(0))->Wait(); });
    group.reset();
    rank.Tell("left", [](float&) { return base::OkStatus(); });
  } else if (rank.rank() == 0) {
    rank.AwaitWordOf(1, "left");
    rank.Tell("receive", [&](float& received) {
      const base::Status status = group->Recv(buffer, base::GroupRank(1))->Wait();
      received = value;
      return status;
    });
  }
  rank.Tell("end", [&](float&) { return end->Barrier({.timeout = seconds(20)})->Wait(); });
}

void WorkOutlivesItsGroup(Rank& rank) {
  auto group = rank.MustJoin("world");
  const auto work = group->Barrier({.timeout = seconds(20)});
  rank.Tell("op", [&](float&) { return work->Wait(); });
  group.reset();
  rank.Tell("afterwards", [&](float& told) {
    work->OnComplete([&told](const base::Status& status) { told = status.ok() ? 1 : -1; });
    return work->Wait();
  });
}

/// What has ended on the member that aborts ends well on the others.
void AbortsAfterwards(Rank& rank) {
  std::shared_ptr<Group> before;  // its members go on until all are through with it
  rank.Tell("ops", [&](float& value) {
    for (int i = 0; i < 20; ++i) {
      auto group = rank.MustJoin("group " + std::to_string(i));
      RETURN_IF_ERROR(group->Barrier({.timeout = seconds(20)})->Wait());
      group->Abort(base::CancelledError("enough"));
      before = std::move(group);
      value += 1;
    }
    return base::OkStatus();
  });
  (void)rank.MustJoin("end");
}

void CostOfChecks(Rank& rank) {
  const auto plain = rank.Join("plain"), checked = rank.Join("checked", true);
  if (!plain.ok() || !checked.ok()) std::abort();
  for (const size_t count : {size_t{2}, size_t{16384}, size_t{1} << 20}) {
    std::vector<float> data(count);
    const Buffer buffer{data.data(), count, Dtype::kF32};
    std::vector<double> us[2];  // of each op, of either
    const int times = count > 100'000 ? 10 : 200;
    for (int round = 0; round < 10; ++round) {
      Group& group = *(round % 2 == 0 ? *plain : *checked);
      for (int i = 0; i < times; ++i) {
        const auto before = std::chrono::steady_clock::now();
        if (!group.AllReduce(buffer, buffer, Reduction::kMax, {.timeout = seconds(20)})
                 ->Wait()
                 .ok())
          std::abort();
        us[round % 2].push_back(
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before)
                .count());
      }
    }
    double median[2];
    for (int i = 0; i < 2; ++i) {
      std::nth_element(us[i].begin(), us[i].begin() + us[i].size() / 2, us[i].end());
      median[i] = us[i][us[i].size() / 2];
    }
    rank.Tell("cost of " + std::to_string(count * 4) + " bytes: " + std::to_string(median[0]) +
                  " us plain, " + std::to_string(median[1]) + " us checked",
              [](float&) { return base::OkStatus(); });
  }
}

int Main(int argc, char** argv) {
  if (argc != 4) return 64;
  alarm(280);  // whatever hangs, no process of this test is left
  auto engine = MpiEngine::Start({.plugin = argv[1], .end_timeout = seconds(5)});
  if (!engine.ok()) {
    std::fprintf(stderr, "%s\n", engine.status().ToString().c_str());
    return 69;
  }
  const std::string mode = argv[3];
  Rank rank(argv[2], std::move(engine).value());
  const std::map<std::string, std::function<void()>> modes = {
      {"never_calls", [&] { NeverCalls(rank); }},
      {"killed", [&] { Fault(rank, [] { kill(getpid(), SIGKILL); }); }},
      {"second_dies", [&] { GoOnWithout(rank, {1}); }},
      {"first_dies", [&] { GoOnWithout(rank, {0}); }},
      {"two_die", [&] { GoOnWithout(rank, {0, 2}); }},
      {"asks_for_survivors", [&] { AsksForSurvivors(rank); }},
      {"stopped", [&] { Fault(rank, [] { kill(getpid(), SIGSTOP); }); }},
      {"exits", [&] { Fault(rank, [] { std::exit(0); }); }},
      {"vanishes", [&] { Fault(rank, [] { _exit(0); }); }},
      {"mismatch_checked", [&] { Mismatch(rank, true); }},
      {"mismatch_plain", [&] { Mismatch(rank, false); }},
      {"refused_checked", [&] { Refused(rank, true); }},
      {"refused_plain", [&] { Refused(rank, false); }},
      {"two_groups", [&] { TwoGroups(rank); }},
      {"long_phase", [&] { LongPhaseHolds(rank); }},
      {"leaves", [&] { MemberLeaves(rank); }},
      {"join_alone", [&] { JoinAlone(rank); }},
      {"many_groups", [&] { ManyGroups(rank); }},
      {"stops_in_making", [&] { StopsInMaking(rank, true); }},
      {"stops_in_making_of_part", [&] { StopsInMaking(rank, false); }},
      {"ends_while_making", [&] { EndsWhileMaking(rank, making_takes); }},
      {"differ", [&] { Differ(rank); }},
      {"changes_timeout", [&] { ChangesTimeout(rank); }},
      {"large_counts", [&] { LargeCounts(rank); }},
      {"churn", [&] { Churn(rank, 300); }},
      {"unreceived", [&] { Unreceived(rank); }},
      {"op_behind_another", [&] { OpBehindAnother(rank); }},
      {"waits_shortly", [&] { WaitsShortly(rank); }},
      {"sends_and_leaves", [&] { SendsAndLeaves(rank); }},
      {"work_outlives_group", [&] { WorkOutlivesItsGroup(rank); }},
      {"aborts_afterwards", [&] { AbortsAfterwards(rank); }},
      {"cost", [&] { CostOfChecks(rank); }},
      {"too_large",
       [&] { rank.Tell("join", [&](float&) { return rank.Join("w", false, 9).status(); }); }},
  };
  const auto found = modes.find(mode);
  if (found == modes.end()) return 64;
  found->second();
  return 0;
}

}  // namespace
}  // namespace lockstep::collectives

int main(int argc, char** argv) { return lockstep::collectives::Main(argc, argv); }
