// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/faults/fault_table.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace lockstep::e2e {
namespace {

constexpr Fault kFaults[] = {
    {"stops", "MISSING_RANK", "its process is stopped by a signal", When::kAtOnce},
    {"exits", "MISSING_RANK", "its process has ended, with exit status 0", When::kAtOnce},
    {"loops", "MISSING_RANK", "its process runs, in no op", When::kLater},
    {"sleeps", "MISSING_RANK", "its process sleeps, in no op", When::kLater},
    {"reads", "MISSING_RANK", "its process waits for input or output", When::kLater},
    {"closes", "MISSING_RANK", "its process sleeps, in no op", When::kLater},
    {"dies", "DEAD_RANK", "killed by signal 9 (SIGKILL)", When::kDead},
    {"fails", "DEAD_RANK", "exit code 3", When::kDead},
    {"count", "MISMATCH", "the counts differ", When::kAtOnce},
    {"dtype", "MISMATCH", "the dtypes differ", When::kAtOnce},
    {"op", "MISMATCH", "the ops differ", When::kAtOnce},
    {"root", "MISMATCH", "the roots differ", When::kAtOnce},
    {"reduction", "MISMATCH", "the reductions differ", When::kAtOnce},
    // What comes next is the same for all, so that nobody is a call ahead for good.
    {"skips", "MISMATCH", " differ", When::kAtOnce},  // the ops, or where it goes on the order
    {"deadlock", "CROSS_GROUP_DEADLOCK", "waits in all_reduce(f32, sum, ", When::kAtOnce},
};
/// Whoever put an op on a GPU's stream may still come to do something else, so that nothing of a
/// circle of streams is provable.
constexpr Fault kDeadlockNccl = {"deadlock", "CROSS_GROUP_DEADLOCK",
                                 "waits in all_reduce(f32, sum, ", When::kLater};
constexpr Fault kNeverInits = {"sleeps", "", "its process has made no group yet", When::kNoticed};
constexpr Fault kStopsInInit = {"stops", "MISSING_RANK", "its process is stopped by a signal",
                                When::kAtOnce};
constexpr Fault kStopsInside = kStopsInInit;
constexpr Fault kDiesInside = {"dies", "DEAD_RANK", "killed by signal 9 (SIGKILL)", When::kDead};

/// A thread of its UCX finds its descriptor gone as soon as anything interrupts it, such as who
/// reads its stack, and aborts.
constexpr Fault kClosesMpich = {"closes", "", "", When::kLater};

/// Which ranks of how many: first, middle, last, two.
struct Place {
  int ranks;
  std::vector<int> victims;
};
const Place kPlaces[] = {{3, {1}}, {2, {0}}, {4, {3}}, {3, {0}}, {2, {1}}, {4, {2}}, {3, {2}}};
const Place kTwo = {4, {1, 2}};
const Place kMany = {8, {5}};
/// Two of five, or, since nodes are of as many ranks each, of six.
const Place kMinority = {5, {1, 3}};
const Place kMinorityOnNodes = {6, {1, 4}};

const Fault& FaultOf(std::string_view name) {
  return *std::find_if(std::begin(kFaults), std::end(kFaults),
                       [&](const Fault& fault) { return name == fault.name; });
}

/// What backends have some of in turn, and with `all` each: two ranks; between ops of two groups;
/// before the library is initialised.
struct More {
  const char* fault;
  const char* where;
  bool is_of_two = false;
};
constexpr More kMore[] = {
    {"exits", "before", true}, {"count", "before", true}, {"dies", "init"},
    {"dies", "before", true},  {"stops", "between"},      {"exits", "init"},
    {"dies", "between"},       {"sleeps", "between"},     {"fails", "init"},
};
constexpr size_t kTurns = 4;

bool IsCall(const Fault& fault) { return std::string_view(fault.verdict_class) == "MISMATCH"; }

/// Of two ranks each is half: whose call is wrong nobody can tell. Both are named.
bool NeedsThree(const Fault& fault) { return IsCall(fault); }

const Fault& AsSeenOn(Backend backend, const Fault& fault) {
  const std::string_view name = fault.name;
  if (name == "deadlock" && backend == Backend::kNccl) return kDeadlockNccl;
  if (name != "closes") return fault;
  return backend == Backend::kMpich ? kClosesMpich : fault;
}

/// Open MPI ends the rank that expects less with an error of its own, which is then the cause. Over
/// tcp whose connections a rank closes is told so and fails: now and then before the agents have
/// looked at the one that did it, and is named itself.
bool IsSaidByLibrary(Backend backend, const Fault& fault) {
  const std::string_view name = fault.name;
  return (backend == Backend::kOpenMpi && name == "count") ||
         (backend == Backend::kTcp && name == "closes");
}

void AddMore(Backend backend, bool all, std::vector<Row>& rows) {
  const auto turn = static_cast<size_t>(backend);
  for (size_t i = 0; i < std::size(kMore); ++i) {
    const More& more = kMore[i];
    const Fault& fault = FaultOf(more.fault);
    if ((!all && (i + turn) % kTurns != 0) || IsSaidByLibrary(backend, fault)) continue;
    const Place& two = backend == Backend::kTcp ? kMinorityOnNodes : kMinority;
    const Place& place = more.is_of_two ? two : turn % 2 == 0 ? kPlaces[5] : kPlaces[2];  // of four
    rows.push_back({backend, &fault, place.ranks, place.victims, more.where});
  }
}

}  // namespace

const char* NameOf(Backend backend) {
  switch (backend) {
    case Backend::kShm: return "shm";
    case Backend::kTcp: return "tcp";
    case Backend::kOpenMpi: return "openmpi";
    case Backend::kMpich: return "mpich";
    case Backend::kNccl: return "nccl";
  }
  return "?";
}

std::string Row::Name() const {
  std::string name = std::string(NameOf(backend)) + "_" + fault->name + "_" + where;
  for (const int victim : victims) name += "_" + std::to_string(victim);
  return name + "_of_" + std::to_string(ranks);
}

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.Name(); }

std::vector<Row> Rows(bool all) {
  std::vector<Row> rows;
  size_t turn = 0;
  for (const Backend backend : kBackends) {
    for (const Fault& fault : kFaults) {
      if (IsSaidByLibrary(backend, fault)) continue;
      for (bool more = true; more; more = all && turn % std::size(kPlaces) != 0) {
        const Place* place = &kPlaces[turn++ % std::size(kPlaces)];
        if (NeedsThree(fault) && place->ranks < 3) {
          if (all) continue;
          place = &kPlaces[turn++ % std::size(kPlaces)];
          if (place->ranks < 3) place = &kPlaces[0];
        }
        // Nodes are of as many ranks each.
        if (backend == Backend::kTcp && place->ranks == 3) place = &kPlaces[turn % 2 == 0 ? 2 : 5];
        rows.push_back({backend, &AsSeenOn(backend, fault), place->ranks, place->victims});
      }
    }
    rows.push_back({backend, &kFaults[0], kTwo.ranks, kTwo.victims});
    rows.push_back({backend, &kFaults[3], kTwo.ranks, kTwo.victims, "before", true});
    rows.push_back({backend, &kFaults[0], kMany.ranks, kMany.victims});
    rows.push_back({backend, &kNeverInits, 2, {1}, "init"});
    rows.push_back({backend, &kStopsInInit, 4, {3}, "init"});
    // Rank 0 is in its group's first op, and in a circle all the same.
    if (backend == Backend::kNccl) rows.push_back({backend, &kDeadlockNccl, 2, {0}});
    rows.push_back({backend, &kStopsInside, 2, {0}, "inside"});
    rows.push_back({backend, &kDiesInside, 4, {2}, "inside"});
    AddMore(backend, all, rows);
  }
  return rows;
}

}  // namespace lockstep::e2e
