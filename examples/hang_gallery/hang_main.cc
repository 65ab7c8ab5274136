// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Ranks that train in step until rank 1 does what its word, one of kFaults, says:
//   lockstep run -np 3 --hang-action-after 4s bazel-bin/examples/hang_gallery/hang stops
// Nobody but Lockstep ends it: the ranks would wait for an hour. mpi_hang.c is the same over MPI.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
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
using lockstep::collectives::Group;
using lockstep::collectives::LongPhase;
using lockstep::collectives::Reduction;
using lockstep::rank::Session;

constexpr int kSteps = 20;
constexpr int kFaultyStep = 10;
constexpr int kVictim = 1;
constexpr auto kTimeout = std::chrono::hours(1);

/// A training whose model is a thousand numbers.
struct Training {
  std::unique_ptr<Session> session;
  std::shared_ptr<Group> world;
  std::shared_ptr<Group> pair;  // ranks 1 and 2; each other rank has one of its own
  std::vector<float> gradient = std::vector<float>(1000, 1.0f);

  Buffer All() { return {gradient.data(), gradient.size(), Dtype::kF32, {}}; }
};

// What a rank may call in a step. Each call is written out: records and verdicts have its line.

Status AddUp(Training& t) { return t.world->AllReduce(t.All(), t.All(), Reduction::kSum)->Wait(); }

Status AddUpInPair(Training& t) {
  return t.pair->AllReduce(t.All(), t.All(), Reduction::kSum)->Wait();
}

Status AddUpFewer(Training& t) {
  Buffer fewer = t.All();
  --fewer.count;
  return t.world->AllReduce(fewer, fewer, Reduction::kSum)->Wait();
}

Status AddUpIntegers(Training& t) {
  Buffer integers = t.All();
  integers.dtype = Dtype::kI32;
  return t.world->AllReduce(integers, integers, Reduction::kSum)->Wait();
}

Status TakeLargest(Training& t) {
  return t.world->AllReduce(t.All(), t.All(), Reduction::kMax)->Wait();
}

Status Meet(Training& t) { return t.world->Barrier()->Wait(); }

Status BroadcastFrom0(Training& t) { return t.world->Broadcast(t.All(), GroupRank(0))->Wait(); }

Status BroadcastFrom1(Training& t) { return t.world->Broadcast(t.All(), GroupRank(1))->Wait(); }

Status WorldThenPair(Training& t) {
  RETURN_IF_ERROR(AddUp(t));
  return AddUpInPair(t);
}

Status PairThenWorld(Training& t) {
  RETURN_IF_ERROR(AddUpInPair(t));
  return AddUp(t);
}

// What keeps a rank from calling anything.

Status Killed(Training& t) {
  ::raise(SIGKILL);  // as the kernel does when memory is short
  return AddUp(t);
}

Status Fail(Training&) {
  std::fputs("cannot read batch 10\n", stderr);
  std::_Exit(3);
}

Status Stop(Training& t) {
  ::raise(SIGSTOP);
  return AddUp(t);
}

/// Its part of the data has a batch less.
Status Exit(Training&) { std::_Exit(0); }

/// Looks for a batch of a length that does not occur.
Status LookForever(Training&) {
  volatile unsigned batch = 0;
  while (true) batch = batch + 1;
}

Status Sleep(Training&) {
  while (true) ::pause();
}

/// From a pipe into which nobody writes: a file server that has gone looks like it.
Status ReadBatch(Training& t) {
  int ends[2];
  char byte;
  if (::pipe(ends) == 0) (void)!::read(ends[0], &byte, 1);
  return AddUp(t);
}

/// Writes a checkpoint that may take ten minutes, as it says.
Status Save(Training& t) {
  const LongPhase phase(*t.world, std::chrono::minutes(10));
  return Sleep(t);
}

struct Fault {
  const char* name;
  Status (*of_victim)(Training&);  // instead of AddUp, in the faulty step
  Status (*of_others)(Training&);
};

constexpr Fault kFaults[] = {
    // DEAD_RANK
    {"is-killed", Killed, AddUp},
    {"fails", Fail, AddUp},
    // MISMATCH
    {"count", AddUpFewer, AddUp},
    {"dtype", AddUpIntegers, AddUp},
    {"reduction", TakeLargest, AddUp},
    {"op", Meet, AddUp},
    {"root", BroadcastFrom1, BroadcastFrom0},
    // MISSING_RANK
    {"stops", Stop, AddUp},
    {"exits", Exit, AddUp},
    {"loops", LookForever, AddUp},
    {"sleeps", Sleep, AddUp},
    {"reads", ReadBatch, AddUp},
    {"saves", Save, AddUp},
    {"in-pair", Sleep, PairThenWorld},
    {"never-joins", AddUp, AddUp},  // Run() sees to it
    // CROSS_GROUP_DEADLOCK
    {"deadlock", PairThenWorld, WorldThenPair},
};

Status Run(const Fault& fault) {
  Training t;
  ASSIGN_OR_RETURN(t.session, Session::Create());
  const int rank = t.session->world().rank.value();
  if (rank == kVictim && std::string_view(fault.name) == "never-joins") return Sleep(t);
  ASSIGN_OR_RETURN(t.world, t.session->WorldGroup(kTimeout));
  t.world->SetTimeout(kTimeout);
  ASSIGN_OR_RETURN(t.pair, t.world->Split(rank == 1 || rank == 2 ? 0 : rank + 1, rank));
  t.pair->SetTimeout(kTimeout);
  RETURN_IF_ERROR(AddUpInPair(t));  // a group's first op may take longer than others

  for (int step = 0; step < kSteps; ++step) {
    t.session->ReportProgress(step);
    const auto faulty = rank == kVictim ? fault.of_victim : fault.of_others;
    RETURN_IF_ERROR((step == kFaultyStep ? faulty : AddUp)(t));
  }
  return lockstep::base::OkStatus();
}

int SayUsage() {
  std::fputs("hang FAULT, where FAULT is one of:", stderr);
  for (const Fault& fault : kFaults) std::fprintf(stderr, " %s", fault.name);
  std::fputs("\n", stderr);
  return 64;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc == 2 ? argv[1] : "";
  const auto* fault = std::find_if(std::begin(kFaults), std::end(kFaults),
                                   [&](const Fault& one) { return one.name == name; });
  if (fault == std::end(kFaults)) return SayUsage();
  const Status status = Run(*fault);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
