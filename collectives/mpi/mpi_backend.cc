// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_backend.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "collectives/engine/call_check.h"
#include "collectives/mpi/mpi_capabilities.h"

namespace lockstep::collectives {
namespace {

base::Status UsageError(std::string message) {
  return base::FailedPreconditionError(std::move(message)).WithClass(base::FailureClass::kUsage);
}

}  // namespace

base::Result<std::unique_ptr<MpiBackend>> MpiBackend::Join(const Config& config,
                                                           std::shared_ptr<MpiEngine> engine,
                                                           GroupSpec spec,
                                                           const OpDeadline& deadline) {
  ASSIGN_OR_RETURN(auto group, MpiGroup::Join(*engine, std::move(spec), deadline));
  return std::unique_ptr<MpiBackend>(new MpiBackend(config, std::move(engine), std::move(group)));
}

MpiBackend::MpiBackend(const Config& config, std::shared_ptr<MpiEngine> engine,
                       std::shared_ptr<MpiGroup> group)
    : config_(config),
      capabilities_(MpiCapabilities(config.check_calls)),
      engine_(std::move(engine)),
      group_(std::move(group)),
      transfers_(*engine_, group_),
      calls_{std::make_shared<MpiCall>(), std::make_shared<MpiCall>()} {}

MpiBackend::~MpiBackend() { group_->Leave(group_, transfers_.sends(), transfers_.receives()); }

base::Status MpiBackend::Run(const Op& op, base::OpSeq seq, const OpWatch& watch) {
  if (const base::Status begun = group_->Begin(seq); !begun.ok()) {
    // Another member's refusal of this same op, without a cause before it, does not outdo our own.
    return op.refusal.ok() || begun.cause() != nullptr ? begun : op.refusal;
  }
  const Running run{op, seq, watch};
  base::Status status = op.refusal.ok() ? Execute(run) : Refuse(run);
  if (status.ok()) {
    group_->Done(seq);
  } else {
    calls_ = {};  // MPI may work on them for ever; no op comes to need others
  }
  return status;
}

base::Status MpiBackend::Refuse(const Running& run) {
  if (config_.check_calls) {
    (void)CheckCalls(run);  // it is found there, on all members at once
  } else {
    group_
        ->Publish(
            UsageError(group_->DescribeRunning(run) + ", was refused on " +
                       group_->DescribeMembers({group_->self()}) + ": " + run.op.refusal.message()),
            &run, {group_->self()}, run.seq.value())
        .ok();
  }
  return run.op.refusal;
}

base::Status MpiBackend::Execute(const Running& run) {
  if (config_.check_calls) RETURN_IF_ERROR(CheckCalls(run));
  if (run.op.kind != OpKind::kAllToAllV)
    return MoveInRounds(run, MpiRounds(run.op, group_->self(), group_->size()));
  size_t longest = 0;
  RETURN_IF_ERROR(CheckCounts(run, longest));
  return MoveInRounds(run, MpiRounds(run.op, group_->self(), group_->size(), longest));
}

base::Status MpiBackend::MoveInRounds(const Running& run, const MpiRounds& rounds) {
  // While MPI works on one call, the other's memory is filled or emptied.
  const auto finish = [&](size_t round) {
    const MpiCall& call = *calls_[round % 2];
    RETURN_IF_ERROR(group_->Await(call, run));
    rounds.Drain(round, call);
    return base::OkStatus();
  };
  for (size_t round = 0; round < rounds.count(); ++round) {
    if (round >= 2) RETURN_IF_ERROR(finish(round - 2));
    rounds.Fill(round, *calls_[round % 2]);
    engine_->Post(group_, calls_[round % 2]);
  }
  for (size_t round = rounds.count() - std::min<size_t>(2, rounds.count()); round < rounds.count();
       ++round)
    RETURN_IF_ERROR(finish(round));
  return base::OkStatus();
}

base::Status MpiBackend::PostAndAwait(const Running& run, const std::shared_ptr<MpiCall>& call) {
  engine_->Post(group_, call);
  return group_->Await(*call, run);
}

base::Status MpiBackend::GatherAll(const Running& run, const std::shared_ptr<MpiCall>& call,
                                   size_t bytes) {
  const auto size = static_cast<size_t>(group_->size());
  call->kind = LOCKSTEP_MPI_ALL_GATHER;
  call->reduction = Reduction::kNone;
  call->in_counts.clear();
  call->in_offsets.clear();
  call->out_counts.assign(size, static_cast<int>(bytes));
  call->out_offsets.resize(size);
  for (size_t member = 0; member < size; ++member)
    call->out_offsets[member] = static_cast<int>(member * bytes);
  return PostAndAwait(run, call);
}

// The largest fingerprint and the largest complement: the smallest and the largest are equal only
// where all are.
base::Status MpiBackend::CheckCalls(const Running& run) {
  const uint64_t fingerprint =
      run.op.refusal.ok() ? FingerprintOf(run.op, group_->id(), group_->spec().epoch, run.seq)
                          : kRefusedFingerprint;
  const std::shared_ptr<MpiCall>& call = calls_[0];
  call->kind = LOCKSTEP_MPI_ALL_REDUCE;
  call->dtype = Dtype::kU64;
  call->reduction = Reduction::kMax;
  call->count = 2;
  uint64_t words[2] = {fingerprint, ~fingerprint};
  std::memcpy(call->out.Reserve(sizeof words), words, sizeof words);
  RETURN_IF_ERROR(PostAndAwait(run, call));
  std::memcpy(words, call->out.data(), sizeof words);
  if (words[0] == ~words[1] && run.op.refusal.ok()) return base::OkStatus();

  const auto size = static_cast<size_t>(group_->size());
  const CallCard mine = MakeCallCard(run.op, fingerprint);
  std::memcpy(
      call->out.Reserve(size * sizeof mine) + static_cast<size_t>(group_->self()) * sizeof mine,
      &mine, sizeof mine);
  RETURN_IF_ERROR(GatherAll(run, call, sizeof mine));
  std::vector<CallCard> cards(size);
  std::memcpy(cards.data(), call->out.data(), size * sizeof mine);
  const Disagreement found = JudgeCalls(
      cards, "op " + run.seq.ToString() + " of group " + group_->spec().name,
      [this](const std::vector<int>& members) { return group_->DescribeMembers(members); });
  return group_->Adopt(found.error, run, found.blamed);
}

base::Status MpiBackend::CheckCounts(const Running& run, size_t& longest) {
  const auto size = static_cast<size_t>(group_->size());
  std::vector<uint64_t> rows(size * 2 * size);  // by member: what it sends to each, and expects
  uint64_t* const mine = rows.data() + static_cast<size_t>(group_->self()) * 2 * size;
  std::copy(run.op.counts.begin(), run.op.counts.end(), mine);
  std::copy(run.op.out_counts.begin(), run.op.out_counts.end(), mine + size);
  const std::shared_ptr<MpiCall>& call = calls_[0];
  std::memcpy(call->out.Reserve(rows.size() * 8), rows.data(), rows.size() * 8);
  RETURN_IF_ERROR(GatherAll(run, call, 2 * size * 8));
  std::memcpy(rows.data(), call->out.data(), rows.size() * 8);
  for (size_t from = 0; from < size; ++from) {
    for (size_t to = 0; to < size; ++to) {
      const uint64_t sent = rows[from * 2 * size + to];
      const uint64_t expected = rows[to * 2 * size + size + from];
      longest = std::max(longest, static_cast<size_t>(sent));
      if (sent == expected) continue;
      const std::vector<int> pair = {static_cast<int>(from), static_cast<int>(to)};
      // In the same words on all members, whose own counts differ.
      const auto row = rows.begin() + static_cast<ptrdiff_t>(from * 2 * size);
      const uint64_t all = std::accumulate(row, row + static_cast<ptrdiff_t>(size), uint64_t{0});
      return group_->Adopt(
          UsageError(DescribeOp(run.op.kind, run.op.dtype, Reduction::kNone, -1, all) + ", op " +
                     run.seq.ToString() + " of group " + group_->spec().name + ": " +
                     group_->DescribeMembers({pair[0]}) + " sends " + std::to_string(sent) +
                     " elements to " + group_->DescribeMembers({pair[1]}) + ", which expects " +
                     std::to_string(expected)),
          run, pair);
    }
  }
  return base::OkStatus();
}

base::Status MpiBackend::Fail(const base::Status& error, const std::vector<int>& blamed) {
  if (const base::Status root = group_->error(); !root.ok()) return group_->FailedBefore(root);
  return group_->Publish(error, nullptr, blamed);
}

void MpiBackend::Poison(const base::Status& reason) {
  (void)group_->Publish(
      base::AbortedError("group " + group_->spec().name + " was aborted by " +
                         group_->DescribeMembers({group_->self()}) + ": " + reason.ToString())
          .WithClass(reason.failure_class()),
      nullptr, {});
}

base::Result<std::shared_ptr<SharedBuffer>> MpiBackend::AllocBuffer(size_t, const OpDeadline&) {
  return base::UnimplementedError("backend mpi has no memory that its members share");
}

std::string MpiBackend::Explain(OpKind kind, Dtype dtype, size_t count) const {
  Op op;
  op.kind = kind;
  op.dtype = dtype;
  op.count = count;
  if (kind == OpKind::kAllGatherV || kind == OpKind::kReduceScatterV || kind == OpKind::kAllToAllV)
    op.counts.assign(static_cast<size_t>(group_->size()), count);
  const MpiRounds rounds(op, group_->self(), group_->size());
  return DescribeOp(kind, dtype, Reduction::kNone, -1, count) + ": by non-blocking calls of " +
         engine_->version() + ", " + std::to_string(rounds.count()) + " of up to " +
         std::to_string(rounds.chunk()) + " elements a member, through memory of the backend's" +
         (engine_->outlives_ranks() ? "; it outlives a rank that dies (ULFM)" : "") +
         (config_.check_calls ? ", after a comparison of calls" : "");
}

}  // namespace lockstep::collectives
