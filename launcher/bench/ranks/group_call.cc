// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/group_call.h"

#include <cstdio>

#include "collectives/types.h"
#include "launcher/bench/bench_wire.h"

namespace lockstep::launcher {
namespace {

using collectives::Buffer;
using collectives::ConstBuffer;
using collectives::Dtype;
using collectives::Group;
using collectives::Reduction;

base::Status PingPong(Group& group, ConstBuffer in, Buffer out) {
  const int rank = group.rank().value();
  if (rank > 1) return base::OkStatus();
  const base::GroupRank peer(1 - rank);
  if (rank == 0) RETURN_IF_ERROR(group.Send(in, peer)->Wait());
  RETURN_IF_ERROR(group.Recv(out, peer)->Wait());
  return rank == 0 ? base::OkStatus() : group.Send(in, peer)->Wait();
}

}  // namespace

bool CanCall(const Group& group, const lockstep_bench_call& call) {
  const auto dtype = static_cast<Dtype>(call.dtype);
  if (call.op == LOCKSTEP_BENCH_ALL_TO_ALL && call.in_place != 0) return false;
  return call.reduction == LOCKSTEP_BENCH_NONE
             ? group.capabilities().Has(dtype)
             : group.CanReduce(dtype, static_cast<Reduction>(call.reduction));
}

base::Status CallAndWait(Group& group, const lockstep_bench_call& call,
                         collectives::Device device) {
  const auto dtype = static_cast<Dtype>(call.dtype);
  const auto reduction = static_cast<Reduction>(call.reduction);
  const base::GroupRank root(call.root);
  const size_t all = call.count * static_cast<size_t>(group.size());
  const auto in = [&](size_t count) { return ConstBuffer{call.in, count, dtype, device}; };
  const auto out = [&](size_t count) { return Buffer{call.out, count, dtype, device}; };
  const collectives::OpOptions options{.scale = LOCKSTEP_BENCH_PREMUL_SCALE};
  switch (call.op) {
    case LOCKSTEP_BENCH_ALL_REDUCE:
      return group.AllReduce(in(call.count), out(call.count), reduction, options)->Wait();
    case LOCKSTEP_BENCH_REDUCE:
      return group.Reduce(in(call.count), out(call.count), reduction, root, options)->Wait();
    case LOCKSTEP_BENCH_BROADCAST: return group.Broadcast(out(call.count), root)->Wait();
    case LOCKSTEP_BENCH_ALL_GATHER: return group.AllGather(in(call.count), out(all))->Wait();
    case LOCKSTEP_BENCH_REDUCE_SCATTER:
      return group.ReduceScatter(in(all), out(call.count), reduction, options)->Wait();
    case LOCKSTEP_BENCH_ALL_TO_ALL: return group.AllToAll(in(all), out(all))->Wait();
    case LOCKSTEP_BENCH_PING_PONG: return PingPong(group, in(call.count), out(call.count));
    default: return group.Barrier()->Wait();
  }
}

void ExplainTo(const base::Status& status, char* error) {
  std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", status.ToString().c_str());
}

}  // namespace lockstep::launcher
