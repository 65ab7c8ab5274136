// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/host_rank.h"

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "collectives/group.h"
#include "collectives/types.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/rank_harness.h"
#include "runtime/rank/session.h"

namespace lockstep::launcher {
namespace {

using collectives::Buffer;
using collectives::ConstBuffer;
using collectives::Dtype;
using collectives::Group;
using collectives::OpKind;
using collectives::Reduction;
using collectives::Transfer;
using Call = lockstep_bench_call;

/// What the harness calls. Confined to one thread.
class HostLibrary {
 public:
  explicit HostLibrary(Group& group) : group_(group) {}

  static int Run(void* self, const Call* call, char* error) {
    return static_cast<HostLibrary*>(self)->Run(*call, error);
  }
  static void* Allocate(void* self, size_t bytes, char* error) {
    auto& shared = static_cast<HostLibrary*>(self)->shared_;
    auto buffer = static_cast<HostLibrary*>(self)->group_.AllocBuffer(bytes);
    if (!buffer.ok()) {
      Explain(buffer.status(), error);
      return nullptr;
    }
    shared.push_back(*std::move(buffer));
    return shared.back()->data();
  }

 private:
  static void Explain(const base::Status& status, char* error) {
    std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", status.ToString().c_str());
  }

  int Run(const Call& call, char* error) {
    if (!Can(call)) return LOCKSTEP_BENCH_UNSUPPORTED;
    const base::Status status = Execute(call);
    if (status.ok()) return LOCKSTEP_BENCH_OK;
    Explain(status, error);
    return LOCKSTEP_BENCH_FAILED;
  }

  // A refused call would end the group.
  bool Can(const Call& call) const {
    const auto dtype = static_cast<Dtype>(call.dtype);
    if (call.op == LOCKSTEP_BENCH_ALL_TO_ALL && call.in_place != 0) return false;
    return call.reduction == LOCKSTEP_BENCH_NONE
               ? group_.capabilities().Has(dtype)
               : group_.CanReduce(dtype, static_cast<Reduction>(call.reduction));
  }

  base::Status Execute(const Call& call) {
    const auto dtype = static_cast<Dtype>(call.dtype);
    const auto reduction = static_cast<Reduction>(call.reduction);
    const base::GroupRank root(call.root);
    const size_t all = call.count * static_cast<size_t>(group_.size());
    const auto in = [&](size_t count) { return ConstBuffer{call.in, count, dtype, {}}; };
    const auto out = [&](size_t count) { return Buffer{call.out, count, dtype, {}}; };
    const collectives::OpOptions options{.scale = LOCKSTEP_BENCH_PREMUL_SCALE};
    switch (call.op) {
      case LOCKSTEP_BENCH_ALL_REDUCE:
        return group_.AllReduce(in(call.count), out(call.count), reduction, options)->Wait();
      case LOCKSTEP_BENCH_REDUCE:
        return group_.Reduce(in(call.count), out(call.count), reduction, root, options)->Wait();
      case LOCKSTEP_BENCH_BROADCAST: return group_.Broadcast(out(call.count), root)->Wait();
      case LOCKSTEP_BENCH_ALL_GATHER: return group_.AllGather(in(call.count), out(all))->Wait();
      case LOCKSTEP_BENCH_REDUCE_SCATTER:
        return group_.ReduceScatter(in(all), out(call.count), reduction, options)->Wait();
      case LOCKSTEP_BENCH_ALL_TO_ALL: return group_.AllToAll(in(all), out(all))->Wait();
      case LOCKSTEP_BENCH_PING_PONG: return PingPong(in(call.count), out(call.count));
      default: return group_.Barrier()->Wait();
    }
  }

  base::Status PingPong(ConstBuffer in, Buffer out) {
    const int rank = group_.rank().value();
    if (rank > 1) return base::OkStatus();
    const base::GroupRank peer(1 - rank);
    if (rank == 0) RETURN_IF_ERROR(group_.Send(in, peer)->Wait());
    RETURN_IF_ERROR(group_.Recv(out, peer)->Wait());
    return rank == 0 ? base::OkStatus() : group_.Send(in, peer)->Wait();
  }

  Group& group_;
  std::vector<std::shared_ptr<collectives::SharedBuffer>> shared_;
};

}  // namespace

base::Status ServeAsHostRank(const char* socket_path, int gang) {
  ASSIGN_OR_RETURN(const std::unique_ptr<rank::Session> session, rank::Session::Create());
  ASSIGN_OR_RETURN(const std::shared_ptr<Group> group, session->WorldGroup());
  const std::string name = "Lockstep, " + group->info().backend + ", " +
                           (session->has_agent() ? "recorder on" : "no recorder");
  return ServeGroup(*group, name, socket_path, gang);
}

base::Status ServeGroup(Group& group, const std::string& name, const char* socket_path, int gang) {
  HostLibrary host(group);
  const lockstep_bench_library library{.self = &host,
                                       .rank = group.rank().value(),
                                       .size = group.size(),
                                       .name = name.c_str(),
                                       .run = HostLibrary::Run,
                                       .allocate = HostLibrary::Allocate};
  if (lockstep_bench_serve(&library, socket_path, gang) == 0) return base::OkStatus();
  return base::AbortedError("lockstep bench, which this rank serves, is gone");
}

}  // namespace lockstep::launcher
