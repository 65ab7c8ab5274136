// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TORCH_C10D_C10D_BACKEND_H_
#define LOCKSTEP_RUNTIME_TORCH_C10D_C10D_BACKEND_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/torch/c10d/c10d_work.h"
#include "runtime/torch/c10d/rank_groups.h"
#include "runtime/torch/c10d/torch_abi.h"

namespace lockstep::train {

/// The backend `lockstep` of torch.distributed: one process group over a collectives group, for
/// tensors in main memory. Shapes, in-place rules and deadlines are c10d's where it has rules, else
/// those of collectives/group.h. Errors are thrown as std::runtime_error (RuntimeError in Python):
/// the Status's text, which names op, group, call sites and the ranks to blame. After one, every
/// later op fails with it as the cause.
///
/// Of c10d's ops it lacks tags other than 0, since the n-th send from a to b meets the n-th
/// receive, and recvAnysource: a receive from each member, of which the first to end counts, would
/// leave the others behind, to take what later receives are for, or to run out of their time.
///
/// Any thread may call; calls of several threads must be in the same order on all ranks, as
/// everywhere in c10d.
class C10dBackend final : public BackendBase {
 public:
  using WorkPtr = c10::intrusive_ptr<c10d::Work>;
  using Tensors = std::vector<at::Tensor>;
  using TensorLists = std::vector<std::vector<at::Tensor>>;

  struct Config {
    std::chrono::milliseconds timeout;  // of making the group, and of its ops
    /// All members compare what all_reduce, all_gather and broadcast gave them, bit by bit; the
    /// same on all members (lockstep_options::verify).
    bool verify = false;
  };

  /// Collective. Blocks: until all members have come, at most the timeout. Throws: see
  /// RankGroups::MakeGroup; a rank or size that is not what the agent says.
  C10dBackend(std::shared_ptr<RankGroups> groups, int rank, int size,
              const std::vector<int64_t>& world_ranks, const Config& config);
  /// Of the ranks that are left. Collective, blocks, throws: as RankGroups::ShrinkToSurvivors.
  static c10::intrusive_ptr<C10dBackend> OfSurvivors(std::shared_ptr<RankGroups> groups,
                                                     const Config& config);
  /// Of that group, which is one of `groups`.
  C10dBackend(std::shared_ptr<RankGroups> groups, RankGroups::GroupHandle group, bool verify);
  ~C10dBackend() override;

  const std::string getBackendName() const override { return "lockstep"; }

  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& options) override;
  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& options) override;
  WorkPtr allreduce_coalesced(Tensors& tensors,
                              const c10d::AllreduceCoalescedOptions& options) override;
  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& options) override;
  WorkPtr allgather(TensorLists& outputs, Tensors& inputs,
                    const c10d::AllgatherOptions& options) override;
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input,
                          const c10d::AllgatherOptions& options) override;
  /// outputs[r][i] is rank r's inputs[i].
  WorkPtr allgather_coalesced(TensorLists& outputs, Tensors& inputs,
                              const c10d::AllgatherOptions& options) override;
  WorkPtr gather(TensorLists& outputs, Tensors& inputs,
                 const c10d::GatherOptions& options) override;
  WorkPtr scatter(Tensors& outputs, TensorLists& inputs,
                  const c10d::ScatterOptions& options) override;
  WorkPtr reduce_scatter(Tensors& outputs, TensorLists& inputs,
                         const c10d::ReduceScatterOptions& options) override;
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                               const c10d::ReduceScatterOptions& options) override;
#if TORCH_VERSION_MAJOR >= 2
  WorkPtr allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::AllgatherOptions& options) override;
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                          const c10d::ReduceScatterOptions& options) override;
  // Without `override`: the first 2.x do not have these two.
  void setTimeout(std::chrono::milliseconds timeout);
  void abort();
#endif
  WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_rows,
                        std::vector<int64_t>& input_rows,
                        const c10d::AllToAllOptions& options) override;
  WorkPtr alltoall(Tensors& outputs, Tensors& inputs,
                   const c10d::AllToAllOptions& options) override;
  WorkPtr send(Tensors& tensors, int to, int tag) override;
  WorkPtr recv(Tensors& tensors, int from, int tag) override;
  WorkPtr recvAnysource(Tensors& tensors, int tag) override;
  WorkPtr barrier(const c10d::BarrierOptions& options) override;
  /// Whether `wait_all_ranks` or not, the error names every rank that did not come.
  void monitoredBarrier(const c10d::BarrierOptions& options, bool wait_all_ranks) override;
  /// Ops are numbered from 1 on every rank, and compared: there is nothing to agree on.
  void setSequenceNumberForGroup() override {}
  uint64_t getSequenceNumberForGroup() override;

 private:
  /// One call of c10d on its way: its tensors, and the ops that it consists of.
  struct Call;

  lockstep_options Options(std::chrono::milliseconds timeout, double scale = 1) const;
  /// Of an op whose output is the same on all members.
  lockstep_options Alike(std::chrono::milliseconds timeout, double scale = 1) const;
  WorkPtr Started(Call call, c10d::OpType type, const char* title);
  /// These two check and lay out the tensors, which may throw. The op begins in Started(), when all
  /// ops of the call have been checked: one in flight would outlive the call's tensors.
  void AddAllGather(Call& call, const Tensors& outputs, const at::Tensor& input,
                    const lockstep_options& options);
  void AddReduceScatter(Call& call, const at::Tensor& output, const Tensors& inputs,
                        lockstep_reduction reduction, const lockstep_options& options);
  void CheckPerRank(const char* op, size_t tensor_count) const;

  const std::shared_ptr<RankGroups> groups_;
  const bool verify_;
  RankGroups::GroupHandle group_;  // set until the end
  std::mutex mutex_;               // one thread at a time calls a group
  uint64_t sequence_ = 0;          // calls so far; guarded by mutex_
};

}  // namespace lockstep::train

#endif  // LOCKSTEP_RUNTIME_TORCH_C10D_C10D_BACKEND_H_
