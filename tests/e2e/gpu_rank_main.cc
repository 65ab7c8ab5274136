// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank of backend nccl: gpu_rank WHAT TIMEOUT_MS [JOIN_MS], with WHAT one of
//
//   groups    adds up in the world, in the halves and the odd and even ranks of it, and without its
//             last rank, and sends around: "RANK world 10 half 3 across 4 shrunk 6 received 4"
//   loop      adds up until that fails; then goes on without those to blame:
//             "RANK failed after MS ms blamed RANKS: CODE TEXT", "RANK survivors SUM"
//   mismatch  the last rank calls another reduction: fails as above
//   late      the last rank is late by two deadlines, and has said so: "RANK sum SUM"
//   dies      the last rank kills itself, and rank 0 adds up a second later, while the others wait
//             for a send of rank 0: fails as above
//   sends     rank 0 waits for a send of the last rank, which never comes: fails as above
//
// After the first op each says "up RANK PID". TERM does not end it. Exits with 0 in all of these
// cases, and else with 1 and the reason.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/group.h"
#include "collectives/nccl/gpu_libraries.h"
#include "collectives/work.h"
#include "runtime/base/result.h"
#include "runtime/rank/session.h"

namespace {

using lockstep::base::GroupRank;
using lockstep::base::Result;
using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::Device;
using lockstep::collectives::Dtype;
using lockstep::collectives::GpuLibraries;
using lockstep::collectives::Group;
using lockstep::collectives::Reduction;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// One number of the GPU's memory.
class Number {
 public:
  static Result<Number> Make(int device) {
    ASSIGN_OR_RETURN(const auto libraries, GpuLibraries::Load({}));
    void* memory = nullptr;
    if (libraries->cuda().malloc_managed(&memory, sizeof(int32_t),
                                         lockstep::collectives::kCudaMemAttachGlobal) != 0) {
      return lockstep::base::ResourceExhaustedError("no memory of the GPU");
    }
    std::shared_ptr<int32_t> owned(static_cast<int32_t*>(memory), [libraries](int32_t* freed) {
      (void)libraries->cuda().free(freed);
    });
    return Number(std::move(owned), device);
  }

  int32_t& value() { return *memory_; }
  Buffer buffer() const { return {memory_.get(), 1, Dtype::kI32, {Device::Kind::kCuda, device_}}; }

 private:
  Number(std::shared_ptr<int32_t> memory, int device)
      : memory_(std::move(memory)), device_(device) {}

  std::shared_ptr<int32_t> memory_;
  int device_;
};

class GpuRank {
 public:
  GpuRank(Group& world, Number number, milliseconds timeout)
      : world_(world), number_(std::move(number)), timeout_(timeout), rank_(world.rank().value()) {}

  Status Run(const std::string& what) {
    RETURN_IF_ERROR(Sum(world_));
    std::printf("up %d %d\n", rank_, static_cast<int>(::getpid()));
    std::fflush(stdout);
    if (what == "groups") return Groups();
    if (what == "loop") return Loop();
    if (what == "late") return Late();
    if (what == "dies") return Dies();
    if (what == "sends")
      return rank_ == 0 ? Fails(world_.Recv(number_.buffer(), last(), Short())->Wait())
                        : AwaitFailure();
    return Fails(Sum(world_, is_last() ? Reduction::kMin : Reduction::kSum));
  }

 private:
  GroupRank last() const { return GroupRank(world_.size() - 1); }
  bool is_last() const { return world_.rank() == last(); }
  lockstep::collectives::OpOptions Short() const { return {.timeout = timeout_}; }

  Status Sum(Group& group, Reduction reduction = Reduction::kSum) {
    number_.value() = rank_ + 1;
    since_ = Clock::now();
    return group.AllReduce(number_.buffer(), number_.buffer(), reduction, Short())->Wait();
  }

  Status Groups() {
    std::string said = std::to_string(rank_) + " world " + std::to_string(number_.value());
    const auto add = [&](const char* name, Group& group) -> Status {
      RETURN_IF_ERROR(Sum(group).WithFrame(name));
      said += " " + std::string(name) + " " + std::to_string(number_.value());
      return lockstep::base::OkStatus();
    };
    ASSIGN_OR_RETURN(const auto half, world_.Split(rank_ / 2, 0));
    RETURN_IF_ERROR(add("half", *half));
    ASSIGN_OR_RETURN(const auto across, world_.Split(rank_ % 2, 0));
    RETURN_IF_ERROR(add("across", *across));
    if (!is_last()) {
      const GroupRank without[] = {last()};
      ASSIGN_OR_RETURN(const auto shrunk, world_.Shrink(without));
      RETURN_IF_ERROR(add("shrunk", *shrunk));
    }
    const int size = world_.size();
    number_.value() = rank_ + 1;
    const auto sent = world_.Send(number_.buffer(), GroupRank((rank_ + 1) % size), Short());
    ASSIGN_OR_RETURN(Number received, Number::Make(number_.buffer().device.index));
    RETURN_IF_ERROR(
        world_.Recv(received.buffer(), GroupRank((rank_ + size - 1) % size), Short())->Wait());
    RETURN_IF_ERROR(sent->Wait());
    std::printf("%s received %d\n", said.c_str(), received.value());
    return world_.Barrier()->Wait();
  }

  Status Loop() {
    Status status;
    while (status.ok()) status = Sum(world_);
    RETURN_IF_ERROR(Fails(status));
    std::vector<GroupRank> blamed;
    for (const auto& subject : status.root().subjects()) {
      if (subject.rank) blamed.emplace_back(static_cast<int>(subject.rank->value()));
    }
    for (const GroupRank rank : blamed) {
      if (rank == world_.rank()) return lockstep::base::OkStatus();
    }
    ASSIGN_OR_RETURN(const auto rest, world_.Shrink(blamed, {.timeout = milliseconds(20'000)}));
    RETURN_IF_ERROR(Sum(*rest));
    std::printf("%d survivors %d\n", rank_, number_.value());
    return lockstep::base::OkStatus();
  }

  Status Late() {
    if (is_last()) {
      const lockstep::collectives::LongPhase phase(world_, milliseconds(60'000));
      const auto until = Clock::now() + 2 * timeout_;
      while (Clock::now() < until) std::this_thread::yield();
      RETURN_IF_ERROR(Sum(world_));
    } else {
      RETURN_IF_ERROR(Sum(world_));
    }
    std::printf("%d sum %d\n", rank_, number_.value());
    return world_.Barrier()->Wait();
  }

  Status Dies() {
    if (is_last()) ::raise(SIGKILL);
    // The others call nothing that misses the last rank, so that rank 0 is the first with an error.
    if (rank_ != 0) {
      since_ = Clock::now();
      return Fails(world_.Recv(number_.buffer(), GroupRank(0), Short())->Wait());
    }
    const auto until = Clock::now() + std::chrono::seconds(1);
    while (Clock::now() < until) std::this_thread::yield();
    return Fails(Sum(world_));
  }

  Status AwaitFailure() { return Fails(world_.Barrier()->Wait()); }

  Status Fails(const Status& status) {
    if (status.ok()) return lockstep::base::InternalError("the op went well");
    const auto took = std::chrono::duration_cast<milliseconds>(Clock::now() - since_);
    std::string blamed;
    for (const auto& subject : status.root().subjects()) {
      if (subject.rank) blamed += (blamed.empty() ? "" : ",") + subject.rank->ToString();
    }
    std::printf("%d failed after %lld ms blamed %s: %s\n", rank_,
                static_cast<long long>(took.count()), blamed.c_str(),
                status.root().ToString().c_str());
    std::fflush(stdout);
    return lockstep::base::OkStatus();
  }

  Group& world_;
  Number number_;
  const milliseconds timeout_;
  const int rank_;
  Clock::time_point since_;
};

Status Run(const std::string& what, milliseconds timeout, milliseconds join_timeout) {
  ASSIGN_OR_RETURN(const auto session, lockstep::rank::Session::Create());
  ASSIGN_OR_RETURN(const auto world, session->WorldGroup(join_timeout));
  ASSIGN_OR_RETURN(Number number,
                   Number::Make(static_cast<int>(session->world().local_rank.value())));
  return GpuRank(*world, std::move(number), timeout).Run(what);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 100;
  ::signal(SIGTERM, SIG_IGN);
  const Status status = Run(argv[1], milliseconds(std::atol(argv[2])),
                            milliseconds(argc > 3 ? std::atol(argv[3]) : 30'000));
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
