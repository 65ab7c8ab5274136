// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A libnccl for machines without a GPU: the same symbols on main memory, with the states of
// communicators that do not block, and with faults (fake_nccl_faults.h). FAKE_NCCL_VERSION says
// which version's symbols it has. It ends the process when its caller breaks a rule that NCCL only
// documents: two threads in one communicator, an abort while another thread is in a call.
// Communicators of Lockstep's never block; other programs' do unless their config says otherwise.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/nccl/nccl_abi.h"
#include "collectives/nccl/testing/fake_cuda.h"
#include "collectives/nccl/testing/fake_nccl_comm.h"
#include "collectives/nccl/testing/fake_nccl_faults.h"
#include "collectives/nccl/testing/fake_nccl_kernels.h"
#include "collectives/nccl/testing/fake_nccl_script.h"

namespace lockstep::collectives {

using testing::FakeCall;
using testing::FakeDie;
using testing::FakeFaults;
using testing::FakeScript;

namespace {

std::atomic<int> registrations{0};

void HangForEver() {
  while (true) std::this_thread::sleep_for(std::chrono::hours(1));
}

/// A call on a communicator: one at a time.
class InCall {
 public:
  explicit InCall(NcclComm comm) : comm_(comm) {
    if (comm_->in_call.exchange(true)) FakeDie("two threads are in one communicator");
  }
  ~InCall() { comm_->in_call.store(false); }

 private:
  const NcclComm comm_;
};

struct Launch {
  NcclComm comm;
  CudaStream stream;
  FakeCall call;
};
thread_local int group_depth = 0;
thread_local std::vector<Launch> grouped;
thread_local std::vector<NcclComm> grouped_inits;  // of those that block

NcclResult LaunchAll(NcclComm comm, CudaStream stream, std::vector<FakeCall> calls) {
  const InCall in_call(comm);
  if (comm->revoked || comm->state.load() == kNcclInProgress) return kNcclInvalidUsage;
  if (comm->state.load() != kNcclSuccess) return comm->state.load();
  if (comm->Strikes(&FakeFaults::call_blocks)) HangForEver();
  if (comm->Strikes(&FakeFaults::in_progress)) {
    comm->state.store(kNcclInProgress);
    return kNcclInProgress;
  }
  if (comm->connected || comm->blocks || comm->world.size() == 1) {
    comm->Put(stream, std::move(calls));
    return kNcclSuccess;
  }
  // The first launch connects, as NCCL does: the kernel gets on the stream later.
  comm->connected = true;
  comm->state.store(kNcclInProgress);
  comm->polls_left = 3;
  comm->pending = [comm, stream, calls = std::move(calls)] { comm->Put(stream, calls); };
  return kNcclInProgress;
}

NcclResult Add(NcclComm comm, CudaStream stream, const FakeCall& call) {
  if (group_depth == 0) return LaunchAll(comm, stream, {call});
  grouped.push_back({comm, stream, call});
  return kNcclSuccess;
}

FakeCall Move(OpKind kind, const void* in, void* out, size_t count, NcclDtype dtype, int peer) {
  return {.kind = kind,
          .in = static_cast<const std::byte*>(in),
          .out = static_cast<std::byte*>(out),
          .count = count,
          .dtype = testing::FakeDtype(dtype).value_or(Dtype::kU8),
          .peer = peer};
}

NcclResult AddReduction(NcclComm comm, CudaStream stream, FakeCall call, NcclDtype dtype,
                        NcclReduction op) {
  const bool aligned =
      (reinterpret_cast<uintptr_t>(call.in) | reinterpret_cast<uintptr_t>(call.out)) %
          DtypeBytes(call.dtype) ==
      0;
  if (!testing::FakeDtype(dtype).has_value() || !aligned) return kNcclInvalidArgument;
  switch (op) {
    case kNcclSum: call.reduction = Reduction::kSum; break;
    case kNcclProd: call.reduction = Reduction::kProduct; break;
    case kNcclMax: call.reduction = Reduction::kMax; break;
    case kNcclMin: call.reduction = Reduction::kMin; break;
    case kNcclAvg: call.reduction = Reduction::kAverage; break;
    default: {
      const auto index = static_cast<size_t>(op) - 5;
      if (index >= comm->reductions.size() || comm->reductions[index].first != dtype)
        return kNcclInvalidArgument;
      call.reduction = Reduction::kPremultipliedSum;
      call.scale = comm->reductions[index].second;
    }
  }
  return Add(comm, stream, call);
}

bool Blocks(const NcclConfig* config) { return config == nullptr || config->blocking != 0; }

/// Lockstep's own, which never blocks, or another program's.
[[maybe_unused]] bool IsValid(const NcclConfig* config) {
  return Blocks(config) ||
         (config->magic == 0xcafebeef && config->size == NcclConfigBytes(FAKE_NCCL_VERSION) &&
          config->version == FAKE_NCCL_VERSION);
}

NcclResult Init(NcclComm* made, int size, const NcclUniqueId& id, int rank, bool blocks) {
  *made = new NcclCommTag(id.bytes, rank, size, blocks);
  (*made)->Begin();
  if (!blocks) return kNcclInProgress;
  if (group_depth == 0) return (*made)->AwaitState();
  grouped_inits.push_back(*made);
  return kNcclSuccess;
}

/// Waits for the work of a communicator that ends, and frees it.
void Free(NcclComm comm) {
  comm->AwaitKernels();
  delete comm;
}

double ScalarOf(NcclDtype dtype, const void* scalar) {
  const auto get = [scalar]<class T>(T typed) {
    std::memcpy(&typed, scalar, sizeof typed);
    return static_cast<double>(typed);
  };
  switch (dtype) {
    case kNcclInt8: return get(int8_t{});
    case kNcclInt32: return get(int32_t{});
    case kNcclUint32: return get(uint32_t{});
    case kNcclInt64: return get(int64_t{});
    case kNcclUint64: return get(uint64_t{});
    case kNcclFloat32: return get(float{});
    case kNcclFloat64: return get(double{});
    case kNcclBfloat16: {
      const uint32_t bits = static_cast<uint32_t>(get(uint16_t{})) << 16;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    }
    case kNcclFloat16: {  // normal numbers alone
      const auto bits = static_cast<int>(get(uint16_t{}));
      const double value = std::ldexp(1 + (bits & 1023) / 1024.0, (bits >> 10 & 31) - 15);
      return (bits & 0x8000) != 0 ? -value : value;
    }
    default: return get(uint8_t{});
  }
}

}  // namespace
}  // namespace lockstep::collectives

// ------------------------------------------------------------------------------ the library's
// symbols

using namespace lockstep::collectives;

extern "C" {

void lockstep_fake_nccl_script(const char* text) { FakeScript::Get().Set(text); }
int lockstep_fake_nccl_objects() {
  return NcclCommTag::count() + registrations.load() +
         lockstep::collectives::testing::FakeCudaObjects();
}

NcclResult ncclGetVersion(int* version) {
  *version = FAKE_NCCL_VERSION;
  return kNcclSuccess;
}
NcclResult ncclGetUniqueId(NcclUniqueId* id) {
  std::random_device random;
  *id = {};
  std::snprintf(id->bytes, sizeof id->bytes, "%08x%08x%08x", random(), random(), random());
  return kNcclSuccess;
}
const char* ncclGetErrorString(NcclResult result) {
  return result == kNcclRemoteError    ? "remote process exited or there was a network error"
         : result == kNcclInvalidUsage ? "invalid usage"
                                       : "an error of the fake";
}
const char* ncclGetLastError(NcclComm) { return "said by the fake"; }

NcclResult ncclCommInitRank(NcclComm* made, int size, NcclUniqueId id, int rank) {
  return Init(made, size, id, rank, true);
}
NcclResult ncclCommCount(NcclComm comm, int* count) {
  *count = comm->world.size();
  return comm->state.load() == kNcclInProgress ? kNcclInvalidArgument : kNcclSuccess;
}
NcclResult ncclCommUserRank(NcclComm comm, int* rank) {
  *rank = comm->rank;
  return comm->state.load() == kNcclInProgress ? kNcclInvalidArgument : kNcclSuccess;
}
#if FAKE_NCCL_VERSION >= 21400
NcclResult ncclCommInitRankConfig(NcclComm* made, int size, NcclUniqueId id, int rank,
                                  NcclConfig* config) {
  if (!IsValid(config)) return kNcclInvalidArgument;
  return Init(made, size, id, rank, Blocks(config));
}
NcclResult ncclCommFinalize(NcclComm comm) {
  const InCall in_call(comm);
  if (comm->revoked || comm->state.load() != kNcclSuccess) return kNcclInvalidUsage;
  if (comm->blocks) {
    comm->AwaitKernels();
    return kNcclSuccess;
  }
  comm->state.store(kNcclInProgress);
  comm->polls_left = 2;
  comm->pending = [comm] { comm->AwaitKernels(); };
  return kNcclInProgress;
}
#endif
NcclResult ncclCommDestroy(NcclComm comm) {
  {
    const InCall in_call(comm);
  }
  Free(comm);
  return kNcclSuccess;
}
#ifndef FAKE_NCCL_WITHOUT_ABORT
NcclResult ncclCommAbort(NcclComm comm) {
  if (comm->in_call.exchange(true)) FakeDie("an abort while another thread is in a call");
  if (comm->Strikes(&FakeFaults::abort_blocks)) HangForEver();
  comm->world.slot(comm->rank).aborted.store(1);
  if (comm->Strikes(&FakeFaults::abort_crashes)) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    for (int other = 0; other < comm->world.size(); ++other) {
      while (comm->world.slot(other).aborted.load() == 0) {
        if (std::chrono::steady_clock::now() > until) FakeDie("a sibling did not abort");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
  }
  comm->stop.store(true);
  Free(comm);
  return kNcclSuccess;
}
#endif
NcclResult ncclCommGetAsyncError(NcclComm comm, NcclResult* state) {
  const InCall in_call(comm);
  if (comm->pending && --comm->polls_left <= 0) {
    comm->state.store(kNcclSuccess);
    std::exchange(comm->pending, nullptr)();
  }
  *state = comm->state.load();
  return kNcclSuccess;
}

NcclResult ncclGroupStart() {
  ++group_depth;
  return kNcclSuccess;
}
NcclResult ncclGroupEnd() {
  if (--group_depth > 0) return kNcclSuccess;
  for (const NcclComm comm : std::exchange(grouped_inits, {})) (void)comm->AwaitState();
  if (grouped.empty()) return kNcclSuccess;
  const auto launches = std::exchange(grouped, {});
  std::vector<FakeCall> calls;
  for (const Launch& launch : launches) {
    if (launch.comm != launches.front().comm) FakeDie("groups of several communicators");
    calls.push_back(launch.call);
  }
  return LaunchAll(launches.front().comm, launches.front().stream, std::move(calls));
}

NcclResult ncclAllReduce(const void* in, void* out, size_t count, NcclDtype dtype, NcclReduction op,
                         NcclComm comm, CudaStream stream) {
  return AddReduction(comm, stream, Move(OpKind::kAllReduce, in, out, count, dtype, -1), dtype, op);
}
NcclResult ncclReduce(const void* in, void* out, size_t count, NcclDtype dtype, NcclReduction op,
                      int root, NcclComm comm, CudaStream stream) {
  return AddReduction(comm, stream, Move(OpKind::kReduce, in, out, count, dtype, root), dtype, op);
}
NcclResult ncclReduceScatter(const void* in, void* out, size_t count, NcclDtype dtype,
                             NcclReduction op, NcclComm comm, CudaStream stream) {
  return AddReduction(comm, stream, Move(OpKind::kReduceScatter, in, out, count, dtype, -1), dtype,
                      op);
}
NcclResult ncclBroadcast(const void* in, void* out, size_t count, NcclDtype dtype, int root,
                         NcclComm comm, CudaStream stream) {
  return Add(comm, stream, Move(OpKind::kBroadcast, in, out, count, dtype, root));
}
NcclResult ncclBcast(void* data, size_t count, NcclDtype dtype, int root, NcclComm comm,
                     CudaStream stream) {
  return ncclBroadcast(data, data, count, dtype, root, comm, stream);
}
NcclResult ncclAllGather(const void* in, void* out, size_t count, NcclDtype dtype, NcclComm comm,
                         CudaStream stream) {
  return Add(comm, stream, Move(OpKind::kAllGather, in, out, count, dtype, -1));
}
NcclResult ncclSend(const void* in, size_t count, NcclDtype dtype, int peer, NcclComm comm,
                    CudaStream stream) {
  return Add(comm, stream, Move(OpKind::kSend, in, nullptr, count, dtype, peer));
}
NcclResult ncclRecv(void* out, size_t count, NcclDtype dtype, int peer, NcclComm comm,
                    CudaStream stream) {
  return Add(comm, stream, Move(OpKind::kRecv, nullptr, out, count, dtype, peer));
}
NcclResult ncclRedOpCreatePreMulSum(NcclReduction* op, void* scalar, NcclDtype dtype, int residence,
                                    NcclComm comm) {
  const InCall in_call(comm);
  if (residence != kNcclScalarHostImmediate) return kNcclInvalidArgument;
  comm->reductions.emplace_back(dtype, ScalarOf(dtype, scalar));
  *op = static_cast<NcclReduction>(4 + comm->reductions.size());
  return kNcclSuccess;
}
NcclResult ncclRedOpDestroy(NcclReduction op, NcclComm comm) {
  const InCall in_call(comm);
  if (comm->state.load() == kNcclInProgress) return kNcclInvalidUsage;
  comm->reductions.at(static_cast<size_t>(op) - 5).first = static_cast<NcclDtype>(-1);
  return kNcclSuccess;
}

#if FAKE_NCCL_VERSION >= 21800
NcclResult ncclCommSplit(NcclComm comm, int color, int key, NcclComm* made, NcclConfig* config) {
  const InCall in_call(comm);
  if (!IsValid(config) || comm->revoked || comm->state.load() != kNcclSuccess)
    return kNcclInvalidUsage;
  if (comm->blocks) *made = nullptr;
  comm->state.store(kNcclInProgress);
  const int number = ++comm->children;
  if (comm->helper.joinable()) comm->helper.join();
  comm->helper = std::thread([=] {
    auto& mine = comm->world.slot(comm->rank);
    mine.color = color;
    mine.key = key;
    if (!comm->world.Barrier(comm->rank, comm->stop)) return;
    std::vector<std::pair<int, int>> members;
    for (int rank = 0; rank < comm->world.size(); ++rank) {
      const auto& slot = comm->world.slot(rank);
      if (slot.color == color) members.emplace_back(slot.key, rank);
    }
    if (!comm->world.Barrier(comm->rank, comm->stop)) return;
    std::sort(members.begin(), members.end());
    if (color >= 0) {
      const auto self = std::find(members.begin(), members.end(), std::pair(key, comm->rank));
      auto* const child = new NcclCommTag(
          comm->name + ".c" + std::to_string(number) + "." + std::to_string(color),
          static_cast<int>(self - members.begin()), static_cast<int>(members.size()), comm->blocks);
      child->Begin();
      std::atomic_ref(*made).store(child);
    }
    comm->state.store(kNcclSuccess);
  });
  if (!comm->blocks) return kNcclInProgress;
  (void)comm->AwaitState();
  return *made != nullptr ? (*made)->AwaitState() : kNcclSuccess;
}
#endif
#if FAKE_NCCL_VERSION >= 21900
NcclResult ncclCommRegister(NcclComm comm, void* memory, size_t bytes, void** handle) {
  const InCall in_call(comm);
  if (memory == nullptr || bytes == 0) return kNcclInvalidArgument;
  if (comm->state.load() != kNcclSuccess) return comm->state.load();
  *handle = memory;  // what goes with the communicator leaves nothing behind
  ++registrations;
  return kNcclSuccess;
}
NcclResult ncclCommDeregister(NcclComm comm, void*) {
  const InCall in_call(comm);
  --registrations;
  return kNcclSuccess;
}
#endif
#if FAKE_NCCL_VERSION >= 22300
NcclResult ncclCommInitRankScalable(NcclComm* made, int size, int rank, int, NcclUniqueId* ids,
                                    NcclConfig* config) {
  return ncclCommInitRankConfig(made, size, ids[0], rank, config);
}
#endif
#if FAKE_NCCL_VERSION >= 22700
NcclResult ncclCommShrink(NcclComm comm, int* excluded, int count, NcclComm* made,
                          NcclConfig* config, int flags) {
  const InCall in_call(comm);
  if (!IsValid(config) || flags != kNcclShrinkDefault || comm->state.load() != kNcclSuccess)
    return kNcclInvalidUsage;
  std::string name = comm->name + ".s";
  for (int i = 0; i < count; ++i) name += "." + std::to_string(excluded[i]);
  name += "." + std::to_string(++comm->shrinks[name]);
  const auto below =
      std::count_if(excluded, excluded + count, [comm](int rank) { return rank < comm->rank; });
  auto* const child = new NcclCommTag(name, comm->rank - static_cast<int>(below),
                                      comm->world.size() - count, comm->blocks);
  child->Begin();
  std::atomic_ref(*made).store(child);
  return comm->blocks ? child->AwaitState() : kNcclInProgress;
}
#endif
#if FAKE_NCCL_VERSION >= 22807
NcclResult ncclCommRevoke(NcclComm comm, int) {
  const InCall in_call(comm);
  comm->revoked = true;
  comm->stop.store(true);
  comm->state.store(kNcclInProgress);
  comm->polls_left = 2;
  comm->pending = [comm] { comm->AwaitKernels(); };
  return kNcclInProgress;
}
#endif
#if FAKE_NCCL_VERSION >= 22800
NcclResult ncclAlltoAll(const void* in, void* out, size_t count, NcclDtype dtype, NcclComm comm,
                        CudaStream stream) {
  return Add(comm, stream, Move(OpKind::kAllToAll, in, out, count, dtype, -1));
}
NcclResult ncclGather(const void* in, void* out, size_t count, NcclDtype dtype, int root,
                      NcclComm comm, CudaStream stream) {
  return Add(comm, stream, Move(OpKind::kGather, in, out, count, dtype, root));
}
NcclResult ncclScatter(const void* in, void* out, size_t count, NcclDtype dtype, int root,
                       NcclComm comm, CudaStream stream) {
  return Add(comm, stream, Move(OpKind::kScatter, in, out, count, dtype, root));
}
#endif

}  // extern "C"
