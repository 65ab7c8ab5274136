// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// lockstep-bench-gloo SOCKET GANG ALGORITHM STORE: a rank that `lockstep bench` measures, in the
// calls of Gloo over TCP, on the interface $LOCKSTEP_BENCH_INTERFACE or else the loopback, started
// by `lockstep run`. The ranks meet in the folder STORE; ALGORITHM is that of all_reduce: ring or
// bcube.
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/math.h>
#include <gloo/reduce.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>

#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/rank_harness.h"

namespace {

using Call = lockstep_bench_call;
using Combine = void (*)(void*, const void*, const void*, size_t);
using Algorithm = gloo::AllreduceOptions::Algorithm;

constexpr std::chrono::seconds kTimeout(60);

template <class T>
Combine CombineOf(uint32_t reduction) {
  switch (reduction) {
    case LOCKSTEP_BENCH_SUM: return &gloo::sum<T>;
    case LOCKSTEP_BENCH_PROD: return &gloo::product<T>;
    case LOCKSTEP_BENCH_MIN: return &gloo::min<T>;
    case LOCKSTEP_BENCH_MAX: return &gloo::max<T>;
    default: return nullptr;
  }
}

class GlooLibrary {
 public:
  GlooLibrary(std::shared_ptr<gloo::Context> context, Algorithm algorithm)
      : context_(std::move(context)), algorithm_(algorithm) {}

  // Gloo throws, and after that its context is of no use.
  static int Run(void* self, const Call* call, char* error) {
    try {
      const int outcome = static_cast<GlooLibrary*>(self)->Run(*call);
      if (outcome == LOCKSTEP_BENCH_UNSUPPORTED)
        std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", WhyNot(*call));
      return outcome;
    } catch (const std::exception& thrown) {
      std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", thrown.what());
      return LOCKSTEP_BENCH_FAILED;
    }
  }

 private:
  static const char* WhyNot(const Call& call) {
    if (call.in_place != 0)
      return "its ranks do not call Gloo in place for that op, type or reduction";
    return "its ranks have no call of Gloo for that op, type or reduction";
  }
  int Run(const Call& call) {
    switch (call.dtype) {
      case LOCKSTEP_BENCH_U8: return RunOf<uint8_t>(call);
      case LOCKSTEP_BENCH_I8: return RunOf<int8_t>(call);
      case LOCKSTEP_BENCH_I32: return RunOf<int32_t>(call);
      case LOCKSTEP_BENCH_I64: return RunOf<int64_t>(call);
      case LOCKSTEP_BENCH_U64: return RunOf<uint64_t>(call);
      case LOCKSTEP_BENCH_F32: return RunOf<float>(call);
      case LOCKSTEP_BENCH_F64: return RunOf<double>(call);
      default: return LOCKSTEP_BENCH_UNSUPPORTED;
    }
  }

  template <class T>
  int RunOf(const Call& call) {
    const Combine combine = CombineOf<T>(call.reduction);
    if (call.reduction != LOCKSTEP_BENCH_NONE && combine == nullptr)
      return LOCKSTEP_BENCH_UNSUPPORTED;
    switch (call.op) {
      case LOCKSTEP_BENCH_ALL_REDUCE: AllReduce<T>(call, combine); break;
      case LOCKSTEP_BENCH_REDUCE:
        if (call.in_place != 0) return LOCKSTEP_BENCH_UNSUPPORTED;
        Reduce<T>(call, combine);
        break;
      case LOCKSTEP_BENCH_BROADCAST: Broadcast<T>(call); break;
      case LOCKSTEP_BENCH_ALL_GATHER: AllGather<T>(call); break;
      case LOCKSTEP_BENCH_ALL_TO_ALL:
        if (call.in_place != 0) return LOCKSTEP_BENCH_UNSUPPORTED;
        AllToAll<T>(call);
        break;
      case LOCKSTEP_BENCH_BARRIER: Barrier(); break;
      default: return LOCKSTEP_BENCH_UNSUPPORTED;
    }
    return LOCKSTEP_BENCH_OK;
  }

  template <class T>
  void AllReduce(const Call& call, Combine combine) {
    gloo::AllreduceOptions options(context_);
    if (call.in_place == 0) options.setInput(static_cast<T*>(call.in), call.count);
    options.setOutput(static_cast<T*>(call.out), call.count);
    options.setAlgorithm(algorithm_);
    options.setReduceFunction(combine);
    gloo::allreduce(options);
  }
  template <class T>
  void Reduce(const Call& call, Combine combine) {
    gloo::ReduceOptions options(context_);
    options.setInput(static_cast<T*>(call.in), call.count);
    options.setOutput(static_cast<T*>(call.out), call.count);
    options.setRoot(call.root);
    options.setReduceFunction(combine);
    gloo::reduce(options);
  }
  template <class T>
  void Broadcast(const Call& call) {
    gloo::BroadcastOptions options(context_);
    options.setOutput(static_cast<T*>(call.out), call.count);
    options.setRoot(call.root);
    gloo::broadcast(options);
  }
  template <class T>
  void AllGather(const Call& call) {
    gloo::AllgatherOptions options(context_);
    if (call.in_place == 0) options.setInput(static_cast<T*>(call.in), call.count);
    options.setOutput(static_cast<T*>(call.out), call.count * static_cast<size_t>(context_->size));
    gloo::allgather(options);
  }
  template <class T>
  void AllToAll(const Call& call) {
    const size_t all = call.count * static_cast<size_t>(context_->size);
    gloo::AlltoallOptions options(context_);
    options.setInput(static_cast<T*>(call.in), all);
    options.setOutput(static_cast<T*>(call.out), all);
    gloo::alltoall(options);
  }
  void Barrier() {
    gloo::BarrierOptions options(context_);
    gloo::barrier(options);
  }

  const std::shared_ptr<gloo::Context> context_;
  const Algorithm algorithm_;
};

int NumberOf(const char* variable, int fallback) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? fallback : std::atoi(text);
}

std::shared_ptr<gloo::Context> Connect(const char* folder) {
  const char* const interface = std::getenv("LOCKSTEP_BENCH_INTERFACE");
  gloo::transport::tcp::attr place(interface == nullptr ? "127.0.0.1" : "");
  if (interface != nullptr) place.iface = interface;
  const auto device = gloo::transport::tcp::CreateDevice(place);
  const auto context =
      std::make_shared<gloo::rendezvous::Context>(NumberOf("RANK", 0), NumberOf("WORLD_SIZE", 1));
  context->setTimeout(kTimeout);
  gloo::rendezvous::FileStore store(folder);
  std::shared_ptr<gloo::transport::Device> transport = device;
  context->connectFullMesh(store, transport);
  return context;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr,
                 "usage: lockstep-bench-gloo SOCKET GANG ring|bcube STORE; lockstep bench starts "
                 "it\n");
    return 64;
  }
  try {
    const auto context = Connect(argv[4]);
    const bool bcube = std::strcmp(argv[3], "bcube") == 0;
    GlooLibrary gloo(context, bcube ? Algorithm::BCUBE : Algorithm::RING);
    const lockstep_bench_library library{.self = &gloo,
                                         .rank = context->rank,
                                         .size = context->size,
                                         .name = "Gloo, TCP",
                                         .run = GlooLibrary::Run,
                                         .allocate = nullptr};
    // Not by way of destructors, which wait for peers.
    std::_Exit(lockstep_bench_serve(&library, argv[1], std::atoi(argv[2])));
  } catch (const std::exception& thrown) {
    std::fprintf(stderr, "lockstep-bench-gloo: %s\n", thrown.what());
    return 1;
  }
}
