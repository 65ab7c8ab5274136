// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/c/lockstep_collectives.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "collectives/agreement.h"
#include "collectives/c/c_handles.h"

namespace {

using lockstep::base::GroupRank;
using lockstep::base::Result;
using lockstep::base::Status;
using lockstep::collectives::Buffer;
using lockstep::collectives::CallSite;
using lockstep::collectives::CheckAgreement;
using lockstep::collectives::ConstBuffer;
using lockstep::collectives::Device;
using lockstep::collectives::Dtype;
using lockstep::collectives::Group;
using lockstep::collectives::OpKind;
using lockstep::collectives::OpOptions;
using lockstep::collectives::Reduction;
using lockstep::collectives::ToC;
using lockstep::collectives::Transfer;
using lockstep::collectives::Work;

static_assert(LOCKSTEP_F8E5M2 == static_cast<int>(Dtype::kF8E5m2) &&
              LOCKSTEP_F32 == static_cast<int>(Dtype::kF32) &&
              LOCKSTEP_BOOL == static_cast<int>(Dtype::kBool));
static_assert(LOCKSTEP_BIT_XOR == static_cast<int>(Reduction::kBitXor) &&
              LOCKSTEP_SUM == static_cast<int>(Reduction::kSum) &&
              LOCKSTEP_PREMULTIPLIED_SUM == static_cast<int>(Reduction::kPremultipliedSum));
static_assert(LOCKSTEP_CUDA == static_cast<int>(Device::Kind::kCuda));

static_assert(LOCKSTEP_BATCH == static_cast<int>(OpKind::kBatch) &&
              LOCKSTEP_ALL_REDUCE == static_cast<int>(OpKind::kAllReduce));
static_assert(LOCKSTEP_REMOTE_ERROR == static_cast<int>(Work::State::kRemoteError));
static_assert(LOCKSTEP_ABORTED_BY_AGENT ==
              static_cast<int>(lockstep::base::FailureClass::kAbortedByAgent));

bool IsDtype(lockstep_dtype dtype) { return dtype >= LOCKSTEP_BOOL && dtype <= LOCKSTEP_F8E5M2; }
bool IsOp(lockstep_op op) { return op >= LOCKSTEP_ALL_REDUCE && op <= LOCKSTEP_BATCH; }

/// A null buffer, or one of no dtype that there is (which becomes 0), is one that the rules refuse.
Buffer FromC(const lockstep_buffer* buffer) {
  if (buffer == nullptr) return {};
  return {buffer->data,
          static_cast<size_t>(buffer->count),
          IsDtype(buffer->dtype) ? static_cast<Dtype>(buffer->dtype) : Dtype{},
          {static_cast<Device::Kind>(buffer->device_kind), buffer->device_index}};
}

/// What this thread was told last (lockstep_last_blamed).
thread_local Status last_told;

template <size_t kBytes>
void CopyText(const std::string& text, char (&to)[kBytes]) {
  std::memset(to, 0, kBytes);
  std::memcpy(to, text.data(), std::min(text.size(), kBytes - 1));
}

int64_t Nanoseconds(lockstep::base::SteadyTime time) { return time.time_since_epoch().count(); }

Reduction FromC(lockstep_reduction reduction) {
  const bool known = reduction >= LOCKSTEP_SUM && reduction <= LOCKSTEP_BIT_XOR;
  return known ? static_cast<Reduction>(reduction) : Reduction::kNone;
}

OpOptions FromC(const lockstep_options* options) {
  OpOptions made{.call_site = CallSite("?", 0)};
  if (options == nullptr) return made;
  made.timeout = std::chrono::nanoseconds(options->timeout_ns);
  made.scale = options->scale;
  made.verify = options->verify != 0;
  made.stream = options->stream;
  if (options->tag != nullptr) made.tag = options->tag;
  if (options->file != nullptr) made.call_site = CallSite(options->file, options->line);
  return made;
}

std::span<const size_t> Counts(const lockstep_group* group, const size_t* counts) {
  if (counts == nullptr) return {};  // which the rules refuse
  return {counts, static_cast<size_t>(group->group->size())};
}

lockstep_work* Handle(std::shared_ptr<Work> work) { return new lockstep_work{std::move(work)}; }

int32_t Hand(Result<std::shared_ptr<Group>> result, lockstep_group** made,
             lockstep_status* status) {
  *made = nullptr;
  if (!result.ok()) return ToC(result.status(), status);
  if (*result != nullptr) *made = new lockstep_group{*std::move(result)};
  return ToC(lockstep::base::OkStatus(), status);
}

}  // namespace

namespace lockstep::collectives {

int32_t ToC(const base::Status& status, lockstep_status* out) {
  const auto code = static_cast<int32_t>(status.code());
  last_told = status;
  if (out == nullptr) return code;
  *out = {};
  out->code = code;
  out->failure_class = static_cast<int32_t>(status.failure_class());
  out->blamed_rank = -1;
  if (!status.ok()) {
    for (const base::Subject& subject : status.root().subjects()) {
      if (!subject.rank.has_value()) continue;
      out->blamed_rank = subject.rank->value();
      break;
    }
    const std::string text = status.ToString();
    const size_t length = std::min(text.size(), sizeof out->text - 1);
    std::memcpy(out->text, text.data(), length);
  }
  return code;
}

}  // namespace lockstep::collectives

extern "C" {

size_t lockstep_last_blamed(lockstep_blamed* blamed, size_t capacity) {
  if (last_told.ok()) return 0;
  const std::vector<lockstep::base::Subject>& subjects = last_told.root().subjects();
  for (size_t i = 0; i < std::min(subjects.size(), capacity); ++i) {
    blamed[i] = {};
    blamed[i].rank = subjects[i].rank.has_value() ? subjects[i].rank->value() : -1;
    blamed[i].pid = subjects[i].pid.value_or(-1);
    CopyText(subjects[i].host, blamed[i].host);
    CopyText(subjects[i].call_site, blamed[i].call_site);
  }
  return subjects.size();
}

int lockstep_last_failed_op(lockstep_failed_op* op) {
  if (last_told.ok() || !last_told.root().op().has_value()) return 0;
  const lockstep::base::OpRef& failed = *last_told.root().op();
  *op = {};
  op->group = failed.group.value();
  op->seq = failed.seq.value();
  op->round = failed.epoch.value();
  CopyText(failed.kind, op->call);
  return 1;
}

int32_t lockstep_group_rank(const lockstep_group* group) { return group->group->rank().value(); }
int32_t lockstep_group_size(const lockstep_group* group) { return group->group->size(); }

int32_t lockstep_group_world_rank(const lockstep_group* group, int32_t member) {
  if (member < 0 || member >= group->group->size()) return -1;
  return group->group->info().world_ranks[static_cast<size_t>(member)].value();
}

int lockstep_group_can_reduce(const lockstep_group* group, lockstep_dtype dtype,
                              lockstep_reduction reduction) {
  return IsDtype(dtype) && FromC(reduction) != Reduction::kNone &&
         group->group->CanReduce(static_cast<Dtype>(dtype), FromC(reduction));
}

int lockstep_group_has(const lockstep_group* group, lockstep_op op, lockstep_dtype dtype) {
  const auto& capabilities = group->group->capabilities();
  return IsOp(op) && IsDtype(dtype) && capabilities.Has(static_cast<OpKind>(op)) &&
         capabilities.Has(static_cast<Dtype>(dtype));
}

uint32_t lockstep_group_traits(const lockstep_group* group) {
  const auto& of = group->group->capabilities();
  uint32_t traits = 0;
  if (of.host_memory) traits |= LOCKSTEP_HOST_MEMORY;
  if (of.cuda_memory) traits |= LOCKSTEP_CUDA_MEMORY;
  if (of.unaligned_reductions) traits |= LOCKSTEP_UNALIGNED_REDUCTIONS;
  if (of.compares_calls) traits |= LOCKSTEP_COMPARES_CALLS;
  if (of.bitwise_reproducible) traits |= LOCKSTEP_BITWISE_REPRODUCIBLE;
  return traits;
}

void lockstep_group_get_info(const lockstep_group* group, lockstep_group_info* info) {
  const auto& of = group->group->info();
  info->id = of.id.value();
  info->instance = of.instance;
  info->round = of.epoch.value();
  CopyText(of.name, info->name);
  CopyText(of.backend, info->backend);
}

size_t lockstep_explain(const lockstep_group* group, lockstep_op op, lockstep_dtype dtype,
                        uint64_t count, char* text, size_t bytes) {
  const std::string whole =
      IsOp(op) && IsDtype(dtype)
          ? group->group->Explain(static_cast<OpKind>(op), static_cast<Dtype>(dtype), count)
          : "no such op or dtype";
  if (bytes > 0) {
    const size_t length = std::min(whole.size(), bytes - 1);
    std::memcpy(text, whole.data(), length);
    text[length] = 0;
  }
  return whole.size();
}

lockstep_long_phase* lockstep_long_phase_begin(lockstep_group* group, int64_t at_most_ns) {
  return new lockstep_long_phase{group->group,
                                 {*group->group, std::chrono::nanoseconds(at_most_ns)}};
}

void lockstep_long_phase_end(lockstep_long_phase* phase) { delete phase; }

int64_t lockstep_group_timeout(const lockstep_group* group) {
  return group->group->timeout().count();
}

void lockstep_group_set_timeout(lockstep_group* group, int64_t timeout_ns) {
  group->group->SetTimeout(std::chrono::nanoseconds(timeout_ns));
}

void lockstep_group_abort(lockstep_group* group, const char* reason) {
  group->group->Abort(lockstep::base::AbortedError(reason != nullptr ? reason : "no reason given"));
}

void lockstep_group_free(lockstep_group* group) { delete group; }

lockstep_work* lockstep_all_reduce(lockstep_group* group, const lockstep_buffer* in,
                                   const lockstep_buffer* out, lockstep_reduction reduction,
                                   const lockstep_options* options) {
  return Handle(group->group->AllReduce(FromC(in), FromC(out), FromC(reduction), FromC(options)));
}

lockstep_work* lockstep_reduce(lockstep_group* group, const lockstep_buffer* in,
                               const lockstep_buffer* out, lockstep_reduction reduction,
                               int32_t root, const lockstep_options* options) {
  return Handle(group->group->Reduce(FromC(in), FromC(out), FromC(reduction), GroupRank(root),
                                     FromC(options)));
}

lockstep_work* lockstep_broadcast(lockstep_group* group, const lockstep_buffer* buffer,
                                  int32_t root, const lockstep_options* options) {
  return Handle(group->group->Broadcast(FromC(buffer), GroupRank(root), FromC(options)));
}

lockstep_work* lockstep_all_gather(lockstep_group* group, const lockstep_buffer* in,
                                   const lockstep_buffer* out, const lockstep_options* options) {
  return Handle(group->group->AllGather(FromC(in), FromC(out), FromC(options)));
}

lockstep_work* lockstep_all_gather_v(lockstep_group* group, const lockstep_buffer* in,
                                     const lockstep_buffer* out, const size_t* counts,
                                     const lockstep_options* options) {
  return Handle(
      group->group->AllGatherV(FromC(in), FromC(out), Counts(group, counts), FromC(options)));
}

lockstep_work* lockstep_reduce_scatter(lockstep_group* group, const lockstep_buffer* in,
                                       const lockstep_buffer* out, lockstep_reduction reduction,
                                       const lockstep_options* options) {
  return Handle(
      group->group->ReduceScatter(FromC(in), FromC(out), FromC(reduction), FromC(options)));
}

lockstep_work* lockstep_reduce_scatter_v(lockstep_group* group, const lockstep_buffer* in,
                                         const lockstep_buffer* out, const size_t* counts,
                                         lockstep_reduction reduction,
                                         const lockstep_options* options) {
  return Handle(group->group->ReduceScatterV(FromC(in), FromC(out), Counts(group, counts),
                                             FromC(reduction), FromC(options)));
}

lockstep_work* lockstep_all_to_all(lockstep_group* group, const lockstep_buffer* in,
                                   const lockstep_buffer* out, const lockstep_options* options) {
  return Handle(group->group->AllToAll(FromC(in), FromC(out), FromC(options)));
}

lockstep_work* lockstep_all_to_all_v(lockstep_group* group, const lockstep_buffer* in,
                                     const size_t* in_counts, const lockstep_buffer* out,
                                     const size_t* out_counts, const lockstep_options* options) {
  return Handle(group->group->AllToAllV(FromC(in), Counts(group, in_counts), FromC(out),
                                        Counts(group, out_counts), FromC(options)));
}

lockstep_work* lockstep_gather(lockstep_group* group, const lockstep_buffer* in,
                               const lockstep_buffer* out, int32_t root,
                               const lockstep_options* options) {
  return Handle(group->group->Gather(FromC(in), FromC(out), GroupRank(root), FromC(options)));
}

lockstep_work* lockstep_scatter(lockstep_group* group, const lockstep_buffer* in,
                                const lockstep_buffer* out, int32_t root,
                                const lockstep_options* options) {
  return Handle(group->group->Scatter(FromC(in), FromC(out), GroupRank(root), FromC(options)));
}

lockstep_work* lockstep_barrier(lockstep_group* group, const lockstep_options* options) {
  return Handle(group->group->Barrier(FromC(options)));
}

lockstep_work* lockstep_send(lockstep_group* group, const lockstep_buffer* buffer, int32_t to,
                             const lockstep_options* options) {
  return Handle(group->group->Send(FromC(buffer), GroupRank(to), FromC(options)));
}

lockstep_work* lockstep_recv(lockstep_group* group, const lockstep_buffer* buffer, int32_t from,
                             const lockstep_options* options) {
  return Handle(group->group->Recv(FromC(buffer), GroupRank(from), FromC(options)));
}

lockstep_work* lockstep_batch(lockstep_group* group, const lockstep_transfer* transfers,
                              size_t transfer_count, const lockstep_options* options) {
  std::vector<Transfer> made;
  for (size_t i = 0; i < transfer_count; ++i) {
    const Buffer buffer = FromC(&transfers[i].buffer);
    const GroupRank peer(transfers[i].peer);
    made.push_back(transfers[i].receives != 0 ? Transfer::Recv(buffer, peer)
                                              : Transfer::Send(buffer, peer));
  }
  return Handle(group->group->Batch(made, FromC(options)));
}

int32_t lockstep_check_agreement(lockstep_group* group, const lockstep_buffer* buffer,
                                 const lockstep_options* options, lockstep_status* status) {
  return ToC(CheckAgreement(*group->group, FromC(buffer), FromC(options)), status);
}

int32_t lockstep_split(lockstep_group* group, int32_t color, int32_t key,
                       const lockstep_options* options, lockstep_group** made,
                       lockstep_status* status) {
  return Hand(group->group->Split(color, key, FromC(options)), made, status);
}

int32_t lockstep_duplicate(lockstep_group* group, const lockstep_options* options,
                           lockstep_group** made, lockstep_status* status) {
  return Hand(group->group->Duplicate(FromC(options)), made, status);
}

int32_t lockstep_subset(lockstep_group* group, const int32_t* members, size_t member_count,
                        const lockstep_options* options, lockstep_group** made,
                        lockstep_status* status) {
  std::vector<GroupRank> chosen;
  for (size_t i = 0; i < member_count; ++i) chosen.emplace_back(members[i]);
  return Hand(group->group->Subset(chosen, FromC(options)), made, status);
}

int32_t lockstep_shrink_to_survivors(lockstep_group* group, const lockstep_options* options,
                                     lockstep_group** made, lockstep_status* status) {
  return Hand(group->group->ShrinkToSurvivors(FromC(options)), made, status);
}

int32_t lockstep_shrink(lockstep_group* group, const int32_t* excluded, size_t excluded_count,
                        const lockstep_options* options, lockstep_group** made,
                        lockstep_status* status) {
  std::vector<GroupRank> members;
  for (size_t i = 0; i < excluded_count; ++i) members.emplace_back(excluded[i]);
  return Hand(group->group->Shrink(members, FromC(options)), made, status);
}

int32_t lockstep_grow(lockstep_group* group, const int32_t* added, size_t added_count,
                      const lockstep_options* options, lockstep_group** made,
                      lockstep_status* status) {
  std::vector<lockstep::base::Rank> ranks;
  for (size_t i = 0; i < added_count; ++i) ranks.emplace_back(added[i]);
  return Hand(group->group->Grow(ranks, FromC(options)), made, status);
}

int32_t lockstep_alloc_buffer(lockstep_group* group, size_t bytes, const lockstep_options* options,
                              lockstep_shared_buffer** made, lockstep_status* status) {
  *made = nullptr;
  auto buffer = group->group->AllocBuffer(bytes, FromC(options));
  if (buffer.ok()) *made = new lockstep_shared_buffer{*buffer};
  return ToC(buffer.status(), status);
}

void* lockstep_shared_buffer_data(const lockstep_shared_buffer* buffer) {
  return buffer->buffer->data();
}

void lockstep_shared_buffer_free(lockstep_shared_buffer* buffer) { delete buffer; }

int32_t lockstep_register_buffer(lockstep_group* group, const lockstep_buffer* buffer,
                                 lockstep_registration** made, lockstep_status* status) {
  *made = nullptr;
  auto registration = group->group->RegisterBuffer(FromC(buffer));
  const int32_t code = ToC(registration.status(), status);
  if (registration.ok()) *made = new lockstep_registration{*std::move(registration)};
  return code;
}

void lockstep_registration_free(lockstep_registration* registration) { delete registration; }

lockstep_work_state lockstep_state(const lockstep_work* work) {
  return static_cast<lockstep_work_state>(work->work->state());
}

uint64_t lockstep_seq(const lockstep_work* work) { return work->work->seq().value(); }

void lockstep_timings(const lockstep_work* work, lockstep_times* times) {
  const Work::Timings timings = work->work->timings();
  times->enqueued_ns = Nanoseconds(timings.enqueued);
  times->started_ns = timings.started ? Nanoseconds(*timings.started) : 0;
  times->completed_ns = timings.completed ? Nanoseconds(*timings.completed) : 0;
}

int lockstep_test(const lockstep_work* work) { return work->work->done() ? 1 : 0; }

int32_t lockstep_wait(lockstep_work* work, lockstep_status* status) {
  return ToC(work->work->Wait(), status);
}

int32_t lockstep_wait_for(lockstep_work* work, int64_t at_most_ns, lockstep_status* status) {
  return ToC(work->work->WaitFor(std::chrono::nanoseconds(at_most_ns)), status);
}

void lockstep_on_complete(lockstep_work* work, lockstep_ended ended, void* context) {
  const std::shared_ptr<Work> kept = work->work;  // `ended` may free the handle
  kept->OnComplete([ended, context](const Status& status) {
    lockstep_status told;
    ToC(status, &told);
    ended(context, &told);
  });
}

int32_t lockstep_finish(lockstep_work* work, lockstep_status* status) {
  const int32_t code = lockstep_wait(work, status);
  lockstep_work_free(work);
  return code;
}

void lockstep_work_free(lockstep_work* work) { delete work; }

}  // extern "C"
