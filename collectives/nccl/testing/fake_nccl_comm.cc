// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/testing/fake_nccl_comm.h"

#include <chrono>
#include <cstdlib>

#include "collectives/nccl/testing/fake_cuda.h"
#include "collectives/nccl/testing/fake_nccl_script.h"

namespace lockstep::collectives {
namespace {

using testing::FakeCall;
using testing::FakeFault;
using testing::FakeFaults;
using testing::FakeScript;

std::atomic<int> communicators{0};

std::string PathOf(const std::string& name) {
  const char* const folder = std::getenv("TEST_TMPDIR");
  return std::string(folder == nullptr ? "/tmp" : folder) + "/fake_nccl_" + name;
}

}  // namespace

NcclCommTag::NcclCommTag(std::string its_name, int its_rank, int its_size, bool its_calls_block)
    : name(std::move(its_name)),
      rank(its_rank),
      blocks(its_calls_block),
      world(PathOf(name), its_size) {
  ++communicators;
}

NcclCommTag::~NcclCommTag() {
  if (helper.joinable()) helper.join();
  --communicators;
}

int NcclCommTag::count() { return communicators.load(); }

bool NcclCommTag::Strikes(FakeFault FakeFaults::* fault) const {
  const FakeFault chosen = FakeScript::Get().faults().*fault;
  return world.size() > 1 && chosen.rank == rank && launches >= chosen.after;
}

void NcclCommTag::Begin() {
  helper = std::thread([this] {
    if (Strikes(&FakeFaults::init_never)) {
      while (!stop.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return;
    }
    world.Join(rank);
    while (!world.AllJoined() && !stop.load())
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    if (!stop.load()) state.store(kNcclSuccess);
  });
}

NcclResult NcclCommTag::AwaitState() const {
  while (state.load() == kNcclInProgress)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  return state.load();
}

void NcclCommTag::AwaitKernels() const {
  while (kernels.load() > 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

void NcclCommTag::Put(CudaStream stream, std::vector<FakeCall> calls) {
  ++kernels;
  const bool wrong = Strikes(&FakeFaults::wrong_result);
  const bool hangs = Strikes(&FakeFaults::async_error);
  if (hangs) state.store(kNcclRemoteError);
  testing::LaunchFakeKernel(stream, [this, calls = std::move(calls), wrong, hangs] {
    while (hangs && !stop.load()) std::this_thread::sleep_for(std::chrono::microseconds(100));
    testing::RunFakeKernel(world, rank, calls, stop);
    for (const FakeCall& call : calls) {
      if (wrong && call.out != nullptr && call.count > 0) *call.out ^= std::byte{0xff};
    }
    --kernels;
  });
  ++launches;
}

}  // namespace lockstep::collectives
