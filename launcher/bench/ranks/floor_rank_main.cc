// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-bench-floor SOCKET GANG WAY: one of two ranks that do what any implementation of an op
// must at least do, by WAY ("halves", "pull-past-caches": floor_ops.h), which `lockstep bench
// --compare floor` measures; started by `lockstep run`, whose agent gives them their memory.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "collectives/engine/attach_connection.h"
#include "collectives/host/shm/attach_segments.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/floor_ops.h"
#include "launcher/bench/ranks/floor_pair.h"
#include "launcher/bench/ranks/rank_harness.h"

namespace {

using lockstep::launcher::FloorOps;
using lockstep::launcher::FloorPair;
using lockstep::launcher::FloorWay;

constexpr uint32_t kAttachTimeoutMs = 10'000;

std::string Variable(const char* name, const char* fallback) {
  const char* const text = std::getenv(name);
  return text == nullptr ? fallback : text;
}

/// What the harness calls. Confined to one thread.
class FloorLibrary {
 public:
  FloorLibrary(FloorPair& pair, FloorWay way) : pair_(pair), ops_(pair, way) {}

  static int Run(void* self, const lockstep_bench_call* call, char* error) {
    return static_cast<FloorLibrary*>(self)->ops_.Run(*call, error);
  }
  static void* Allocate(void* self, size_t bytes, char* error) {
    const auto memory = static_cast<FloorLibrary*>(self)->pair_.Share(bytes);
    if (memory.ok()) return *memory;
    std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", memory.status().ToString().c_str());
    return nullptr;
  }

 private:
  FloorPair& pair_;
  FloorOps ops_;
};

lockstep::base::Status Serve(const char* socket_path, int gang, FloorWay way) {
  if (Variable("WORLD_SIZE", "1") != std::to_string(FloorPair::kRanks))
    return lockstep::base::InvalidArgumentError("the floor is of two ranks: lockstep bench -np 2");
  ASSIGN_OR_RETURN(const lockstep::collectives::AttachConnection agent,
                   lockstep::collectives::AttachToAgent(
                       Variable("LOCKSTEP_SOCKET", ""), Variable("LOCKSTEP_COOKIE", ""),
                       kAttachTimeoutMs, "attaching to the agent for shared memory"));
  lockstep::collectives::AttachSegments segments(*agent.client);
  ASSIGN_OR_RETURN(const std::unique_ptr<FloorPair> pair,
                   FloorPair::Create(segments, std::atoi(Variable("RANK", "0").c_str())));
  FloorLibrary floor(*pair, way);
  const lockstep_bench_library library{.self = &floor,
                                       .rank = pair->rank(),
                                       .size = FloorPair::kRanks,
                                       .name = "what an op must at least do",
                                       .run = FloorLibrary::Run,
                                       .allocate = FloorLibrary::Allocate,
                                       .take = nullptr,
                                       .bring = nullptr};
  if (lockstep_bench_serve(&library, socket_path, gang) == 0) return lockstep::base::OkStatus();
  return lockstep::base::AbortedError("lockstep bench, which this rank serves, is gone");
}

}  // namespace

int main(int argc, char** argv) {
  const auto way = argc == 4 ? lockstep::launcher::FindFloorWay(argv[3]) : std::nullopt;
  if (!way) {
    std::fprintf(stderr, "usage: lockstep-bench-floor SOCKET GANG WAY; lockstep bench starts it\n");
    return 64;
  }
  const lockstep::base::Status served = Serve(argv[1], std::atoi(argv[2]), *way);
  if (served.ok()) return 0;
  std::fprintf(stderr, "lockstep-bench-floor: %s\n", served.ToString().c_str());
  return 1;
}
