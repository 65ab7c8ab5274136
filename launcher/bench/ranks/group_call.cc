// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/ranks/group_call.h"

#include <array>
#include <cstdio>
#include <span>
#include <string>

#include "collectives/types.h"
#include "launcher/bench/bench_wire.h"
#include "launcher/bench/ranks/known_values.h"

namespace lockstep::launcher {
namespace {

using collectives::Buffer;
using collectives::ConstBuffer;
using collectives::Dtype;
using collectives::Group;
using collectives::OpKind;
using collectives::Reduction;
using collectives::Transfer;

base::Status PingPong(Group& group, ConstBuffer in, Buffer out) {
  const int rank = group.rank().value();
  if (rank > 1) return base::OkStatus();
  const base::GroupRank peer(1 - rank);
  if (rank == 0) RETURN_IF_ERROR(group.Send(in, peer)->Wait());
  RETURN_IF_ERROR(group.Recv(out, peer)->Wait());
  return rank == 0 ? base::OkStatus() : group.Send(in, peer)->Wait();
}

OpKind KindOf(uint32_t op) {
  switch (op) {
    case LOCKSTEP_BENCH_ALL_REDUCE: return OpKind::kAllReduce;
    case LOCKSTEP_BENCH_REDUCE: return OpKind::kReduce;
    case LOCKSTEP_BENCH_BROADCAST: return OpKind::kBroadcast;
    case LOCKSTEP_BENCH_ALL_GATHER: return OpKind::kAllGather;
    case LOCKSTEP_BENCH_ALL_GATHER_V: return OpKind::kAllGatherV;
    case LOCKSTEP_BENCH_REDUCE_SCATTER: return OpKind::kReduceScatter;
    case LOCKSTEP_BENCH_REDUCE_SCATTER_V: return OpKind::kReduceScatterV;
    case LOCKSTEP_BENCH_ALL_TO_ALL: return OpKind::kAllToAll;
    case LOCKSTEP_BENCH_ALL_TO_ALL_V: return OpKind::kAllToAllV;
    case LOCKSTEP_BENCH_GATHER: return OpKind::kGather;
    case LOCKSTEP_BENCH_SCATTER: return OpKind::kScatter;
    case LOCKSTEP_BENCH_PING_PONG: return OpKind::kSend;
    case LOCKSTEP_BENCH_BATCH: return OpKind::kBatch;
    default: return OpKind::kBarrier;
  }
}

/// By group rank: the parts of an op whose parts differ; of all_to_all_v those of `rank`, to and
/// from all alike.
class Parts {
 public:
  Parts(const lockstep_bench_call& call, int rank, int size) : size_(static_cast<size_t>(size)) {
    const int first = call.op == LOCKSTEP_BENCH_ALL_TO_ALL_V ? rank : 0;
    for (int i = 0; i < size; ++i)
      counts_[static_cast<size_t>(i)] = lockstep_bench_part_of(&call, (first + i) % size, size);
  }
  operator std::span<const size_t>() const { return {counts_.data(), size_}; }

 private:
  std::array<size_t, LOCKSTEP_BENCH_RANKS_MAX> counts_;
  const size_t size_;
};

base::Status RunUneven(Group& group, const lockstep_bench_call& call, ConstBuffer in, Buffer out) {
  const Parts parts(call, group.rank().value(), group.size());
  if (call.op == LOCKSTEP_BENCH_ALL_GATHER_V) return group.AllGatherV(in, out, parts)->Wait();
  if (call.op == LOCKSTEP_BENCH_ALL_TO_ALL_V) return group.AllToAllV(in, parts, out, parts)->Wait();
  return group
      .ReduceScatterV(in, out, parts, static_cast<Reduction>(call.reduction),
                      {.scale = LOCKSTEP_BENCH_PREMUL_SCALE})
      ->Wait();
}

base::Status SendAround(Group& group, ConstBuffer in, Buffer out) {
  const int rank = group.rank().value();
  const int size = group.size();
  const Transfer both[] = {Transfer::Send(in, base::GroupRank((rank + 1) % size)),
                           Transfer::Recv(out, base::GroupRank((rank + size - 1) % size))};
  return group.Batch(both)->Wait();
}

}  // namespace

base::Status CheckCall(const Group& group, const lockstep_bench_call& call) {
  return group.capabilities().Check(KindOf(call.op), static_cast<Dtype>(call.dtype),
                                    static_cast<Reduction>(call.reduction));
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
    case LOCKSTEP_BENCH_GATHER: return group.Gather(in(call.count), out(all), root)->Wait();
    case LOCKSTEP_BENCH_SCATTER: return group.Scatter(in(all), out(call.count), root)->Wait();
    case LOCKSTEP_BENCH_ALL_GATHER_V:
    case LOCKSTEP_BENCH_REDUCE_SCATTER_V:
    case LOCKSTEP_BENCH_ALL_TO_ALL_V: {
      const int rank = group.rank().value();
      return RunUneven(group, call, in(lockstep_bench_in_count(&call, rank, group.size())),
                       out(lockstep_bench_out_count(&call, rank, group.size())));
    }
    case LOCKSTEP_BENCH_BATCH: return SendAround(group, in(call.count), out(call.count));
    case LOCKSTEP_BENCH_PING_PONG: return PingPong(group, in(call.count), out(call.count));
    default: return group.Barrier()->Wait();
  }
}

// What the group itself says of its ops: a setting that did not reach it shows.
std::string CallCheckText(const Group& group) {
  const std::string way = group.Explain(OpKind::kAllReduce, Dtype::kF32, 1);
  return way.find("comparison of calls") == std::string::npos ? "" : ", calls compared";
}

void ExplainTo(const base::Status& status, char* error) {
  std::snprintf(error, LOCKSTEP_BENCH_ERROR_BYTES, "%s", status.ToString().c_str());
}

}  // namespace lockstep::launcher
