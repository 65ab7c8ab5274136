// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/c10d/c10d_backend.h"

#include <functional>
#include <utility>

#include "runtime/torch/c10d/python_call_site.h"
#include "runtime/torch/c10d/python_lock_release.h"

namespace lockstep::train {
namespace {

using Tensors = C10dBackend::Tensors;

/// c10d passes lists with a tensor for each device of a process; here a process has one device.
const at::Tensor& Only(const char* op, const Tensors& tensors) {
  if (tensors.size() != 1) {
    Throw(std::string(op) + " of " + std::to_string(tensors.size()) +
          " tensors at once; the backend lockstep has one device in a process and takes one");
  }
  return tensors[0];
}

const Tensors& Only(const char* op, const C10dBackend::TensorLists& lists) {
  if (lists.size() != 1) {
    Throw(std::string(op) + " of " + std::to_string(lists.size()) +
          " lists of tensors at once; the backend lockstep has one device in a process and takes "
          "one");
  }
  return lists[0];
}

/// Elements that go to each rank: `rows` of the first dimension, as many for each where `rows` is
/// empty.
std::vector<size_t> ElementsPerRank(const at::Tensor& tensor, const std::vector<int64_t>& rows,
                                    int size) {
  std::vector<size_t> counts(static_cast<size_t>(size));
  const int64_t height = tensor.dim() == 0 ? 1 : tensor.size(0);
  const int64_t width = height == 0 ? 0 : tensor.numel() / height;
  if (rows.empty() ? height % size != 0 : rows.size() != counts.size()) {
    Throw("all_to_all between " + std::to_string(size) + " ranks of a tensor with " +
          std::to_string(height) + " rows and " + std::to_string(rows.size()) +
          " split sizes; give one for each rank, or rows that divide evenly");
  }
  int64_t total = 0;
  for (size_t rank = 0; rank < counts.size(); ++rank) {
    const int64_t mine = rows.empty() ? height / size : rows[rank];
    if (mine < 0) Throw("all_to_all with a split size of " + std::to_string(mine));
    total += mine;
    counts[rank] = static_cast<size_t>(mine * width);
  }
  if (total != height) {
    Throw("all_to_all with split sizes that add up to " + std::to_string(total) +
          " rows of a tensor with " + std::to_string(height));
  }
  return counts;
}

void CheckTag(int tag) {
  if (tag == 0) return;
  Throw("the backend lockstep has no tags (this call's is " + std::to_string(tag) +
        "): the n-th send to a rank meets its n-th receive; leave the tag out, or use a process "
        "group for each");
}

}  // namespace

struct C10dBackend::Call {
  explicit Call(C10dBackend& backend) : lock(backend.mutex_), group(backend.group_.get()) {}
  Call(Call&&) = default;
  ~Call() {
    for (lockstep_work* work : works) lockstep_work_free(work);
  }

  std::unique_lock<std::mutex> lock;  // between the ops of one call no other thread's come
  lockstep_group* group;
  TensorCall tensors;
  std::vector<std::function<lockstep_work*()>> later;  // ops that Started() begins, in this order
  std::vector<lockstep_work*> works;
};

C10dBackend::C10dBackend(std::shared_ptr<RankGroups> groups, int rank, int size,
                         const std::vector<int64_t>& world_ranks, const Config& config)
    : BackendBase(rank, size),
      groups_(std::move(groups)),
      verify_(config.verify),
      group_(groups_->MakeGroup(world_ranks, config.timeout)) {
  if (lockstep_group_rank(group_.get()) == rank && lockstep_group_size(group_.get()) == size)
    return;
  Throw("init_process_group says that this is rank " + std::to_string(rank) + " of " +
        std::to_string(size) + ", and its agent that it is rank " +
        std::to_string(lockstep_group_rank(group_.get())) + " of " +
        std::to_string(lockstep_group_size(group_.get())) +
        "; leave rank and world_size out, they are in the environment");
}

C10dBackend::C10dBackend(std::shared_ptr<RankGroups> groups, RankGroups::GroupHandle group,
                         bool verify)
    : BackendBase(lockstep_group_rank(group.get()), lockstep_group_size(group.get())),
      groups_(std::move(groups)),
      verify_(verify),
      group_(std::move(group)) {}

c10::intrusive_ptr<C10dBackend> C10dBackend::OfSurvivors(std::shared_ptr<RankGroups> groups,
                                                         const Config& config) {
  RankGroups::GroupHandle group = groups->ShrinkToSurvivors(config.timeout);
  return c10::make_intrusive<C10dBackend>(std::move(groups), std::move(group), config.verify);
}

C10dBackend::~C10dBackend() {
  const PythonLockRelease release;
  group_.reset();
}

lockstep_options C10dBackend::Options(std::chrono::milliseconds timeout, double scale) const {
  const PythonCallSite site = FindPythonCallSite();
  const int64_t timeout_ns = timeout.count() > 0 ? std::chrono::nanoseconds(timeout).count() : 0;
  return {.timeout_ns = timeout_ns, .scale = scale, .file = site.file, .line = site.line};
}

lockstep_options C10dBackend::Alike(std::chrono::milliseconds timeout, double scale) const {
  lockstep_options options = Options(timeout, scale);
  options.verify = verify_ ? 1 : 0;
  return options;
}

C10dBackend::WorkPtr C10dBackend::Started(Call call, c10d::OpType type, const char* title) {
  ++sequence_;
  for (const auto& start : call.later) call.works.push_back(start());
  auto works = std::exchange(call.works, {});
  return c10::make_intrusive<C10dWork>(getRank(), type, title, std::move(works),
                                       std::move(call.tensors));
}

void C10dBackend::CheckPerRank(const char* op, size_t tensor_count) const {
  if (tensor_count == static_cast<size_t>(getSize())) return;
  Throw(std::string(op) + " in a process group of " + std::to_string(getSize()) +
        " ranks with a list of " + std::to_string(tensor_count) +
        " tensors; it takes one for each rank");
}

C10dBackend::WorkPtr C10dBackend::broadcast(Tensors& tensors,
                                            const c10d::BroadcastOptions& options) {
  const lockstep_options here = Alike(options.timeout);
  Call call(*this);
  const lockstep_buffer buffer = call.tensors.InOut(Only("broadcast", tensors));
  call.works.push_back(
      lockstep_broadcast(call.group, &buffer, static_cast<int32_t>(options.rootRank), &here));
  call.tensors.AddResult(tensors[0]);
  return Started(std::move(call), c10d::OpType::BROADCAST, "lockstep:broadcast");
}

C10dBackend::WorkPtr C10dBackend::allreduce(Tensors& tensors,
                                            const c10d::AllreduceOptions& options) {
  Only("all_reduce", tensors);
  return allreduce_coalesced(tensors, {options});
}

C10dBackend::WorkPtr C10dBackend::allreduce_coalesced(
    Tensors& tensors, const c10d::AllreduceCoalescedOptions& options) {
  const auto [reduction, scale] = ReductionOf(options.reduceOp);
  const lockstep_options here = Alike(options.timeout, scale);
  Call call(*this);
  std::vector<lockstep_buffer> buffers;  // all are checked before the first op begins
  for (const at::Tensor& tensor : tensors) buffers.push_back(call.tensors.InOut(tensor));
  if (buffers.empty()) Throw("all_reduce of no tensors");
  for (const lockstep_buffer& buffer : buffers) {
    call.works.push_back(lockstep_all_reduce(call.group, &buffer, &buffer, reduction, &here));
  }
  for (const at::Tensor& tensor : tensors) call.tensors.AddResult(tensor);
  return Started(std::move(call), c10d::OpType::ALLREDUCE, "lockstep:all_reduce");
}

C10dBackend::WorkPtr C10dBackend::reduce(Tensors& tensors, const c10d::ReduceOptions& options) {
  const auto [reduction, scale] = ReductionOf(options.reduceOp);
  const lockstep_options here = Options(options.timeout, scale);
  Call call(*this);
  const lockstep_buffer buffer = call.tensors.InOut(Only("reduce", tensors));
  call.works.push_back(lockstep_reduce(call.group, &buffer, &buffer, reduction,
                                       static_cast<int32_t>(options.rootRank), &here));
  call.tensors.AddResult(tensors[0]);
  return Started(std::move(call), c10d::OpType::REDUCE, "lockstep:reduce");
}

void C10dBackend::AddAllGather(Call& call, const Tensors& outputs, const at::Tensor& input,
                               const lockstep_options& options) {
  const std::vector<size_t> counts = CountsOf(outputs);
  const lockstep_buffer in = call.tensors.In(input);
  const lockstep_buffer out = call.tensors.Out(outputs);
  call.later.emplace_back([=, group = call.group] {
    return AllEqual(counts) ? lockstep_all_gather(group, &in, &out, &options)
                            : lockstep_all_gather_v(group, &in, &out, counts.data(), &options);
  });
}

C10dBackend::WorkPtr C10dBackend::allgather(TensorLists& outputs, Tensors& inputs,
                                            const c10d::AllgatherOptions& options) {
  const lockstep_options here = Alike(options.timeout);
  const Tensors& list = Only("all_gather", outputs);
  CheckPerRank("all_gather", list.size());
  Call call(*this);
  AddAllGather(call, list, Only("all_gather", inputs), here);
  for (const at::Tensor& tensor : list) call.tensors.AddResult(tensor);
  return Started(std::move(call), c10d::OpType::ALLGATHER, "lockstep:all_gather");
}

C10dBackend::WorkPtr C10dBackend::_allgather_base(at::Tensor& output, at::Tensor& input,
                                                  const c10d::AllgatherOptions& options) {
  const lockstep_options here = Alike(options.timeout);
  Call call(*this);
  AddAllGather(call, {output}, input, here);
  call.tensors.AddResult(output);
  return Started(std::move(call), c10d::OpType::_ALLGATHER_BASE, "lockstep:all_gather_into_tensor");
}

C10dBackend::WorkPtr C10dBackend::allgather_coalesced(TensorLists& outputs, Tensors& inputs,
                                                      const c10d::AllgatherOptions& options) {
  const lockstep_options here = Alike(options.timeout);
  CheckPerRank("all_gather_coalesced", outputs.size());
  for (const Tensors& list : outputs) {
    if (list.size() != inputs.size() || list.empty()) {
      Throw("all_gather_coalesced of " + std::to_string(inputs.size()) + " tensors into lists of " +
            std::to_string(list.size()));
    }
  }
  Call call(*this);
  for (size_t i = 0; i < inputs.size(); ++i) {
    Tensors of_each_rank;
    for (const Tensors& list : outputs) of_each_rank.push_back(list[i]);
    AddAllGather(call, of_each_rank, inputs[i], here);
  }
  for (const Tensors& list : outputs) {
    for (const at::Tensor& tensor : list) call.tensors.AddResult(tensor);
  }
  return Started(std::move(call), c10d::OpType::ALLGATHER_COALESCED,
                 "lockstep:all_gather_coalesced");
}

C10dBackend::WorkPtr C10dBackend::gather(TensorLists& outputs, Tensors& inputs,
                                         const c10d::GatherOptions& options) {
  const lockstep_options here = Options(options.timeout);
  const auto root = static_cast<int32_t>(options.rootRank);
  Call call(*this);
  const lockstep_buffer in = call.tensors.In(Only("gather", inputs));
  lockstep_buffer out{.dtype = in.dtype};
  if (getRank() == root) {
    const Tensors& list = Only("gather", outputs);
    CheckPerRank("gather", list.size());
    out = call.tensors.Out(list);
    for (const at::Tensor& tensor : list) call.tensors.AddResult(tensor);
  }
  call.works.push_back(lockstep_gather(call.group, &in, &out, root, &here));
  return Started(std::move(call), c10d::OpType::GATHER, "lockstep:gather");
}

C10dBackend::WorkPtr C10dBackend::scatter(Tensors& outputs, TensorLists& inputs,
                                          const c10d::ScatterOptions& options) {
  const lockstep_options here = Options(options.timeout);
  const auto root = static_cast<int32_t>(options.rootRank);
  Call call(*this);
  const lockstep_buffer out = call.tensors.Out(Only("scatter", outputs));
  lockstep_buffer in{.dtype = out.dtype};
  if (getRank() == root) {
    const Tensors& list = Only("scatter", inputs);
    CheckPerRank("scatter", list.size());
    in = call.tensors.In(list);
  }
  call.works.push_back(lockstep_scatter(call.group, &in, &out, root, &here));
  call.tensors.AddResult(outputs[0]);
  return Started(std::move(call), c10d::OpType::SCATTER, "lockstep:scatter");
}

void C10dBackend::AddReduceScatter(Call& call, const at::Tensor& output, const Tensors& inputs,
                                   lockstep_reduction reduction, const lockstep_options& options) {
  const std::vector<size_t> counts = CountsOf(inputs);
  const lockstep_buffer in = call.tensors.In(inputs);
  const lockstep_buffer out = call.tensors.Out(output);
  call.later.emplace_back([=, group = call.group] {
    return AllEqual(counts)
               ? lockstep_reduce_scatter(group, &in, &out, reduction, &options)
               : lockstep_reduce_scatter_v(group, &in, &out, counts.data(), reduction, &options);
  });
  call.tensors.AddResult(output);
}

C10dBackend::WorkPtr C10dBackend::reduce_scatter(Tensors& outputs, TensorLists& inputs,
                                                 const c10d::ReduceScatterOptions& options) {
  const auto [reduction, scale] = ReductionOf(options.reduceOp);
  const lockstep_options here = Options(options.timeout, scale);
  const Tensors& list = Only("reduce_scatter", inputs);
  CheckPerRank("reduce_scatter", list.size());
  Call call(*this);
  AddReduceScatter(call, Only("reduce_scatter", outputs), list, reduction, here);
  return Started(std::move(call), c10d::OpType::REDUCE_SCATTER, "lockstep:reduce_scatter");
}

C10dBackend::WorkPtr C10dBackend::_reduce_scatter_base(at::Tensor& output, at::Tensor& input,
                                                       const c10d::ReduceScatterOptions& options) {
  const auto [reduction, scale] = ReductionOf(options.reduceOp);
  const lockstep_options here = Options(options.timeout, scale);
  Call call(*this);
  AddReduceScatter(call, output, {input}, reduction, here);
  return Started(std::move(call), c10d::OpType::_REDUCE_SCATTER_BASE,
                 "lockstep:reduce_scatter_tensor");
}

#if TORCH_VERSION_MAJOR >= 2
C10dBackend::WorkPtr C10dBackend::allgather_into_tensor_coalesced(
    Tensors& outputs, Tensors& inputs, const c10d::AllgatherOptions& options) {
  const lockstep_options here = Alike(options.timeout);
  if (outputs.size() != inputs.size() || inputs.empty())
    Throw("all_gather_into_tensor of lists that differ in length");
  Call call(*this);
  for (size_t i = 0; i < inputs.size(); ++i) {
    AddAllGather(call, {outputs[i]}, inputs[i], here);
    call.tensors.AddResult(outputs[i]);
  }
  return Started(std::move(call), c10d::OpType::COALESCED,
                 "lockstep:all_gather_into_tensor_coalesced");
}

C10dBackend::WorkPtr C10dBackend::reduce_scatter_tensor_coalesced(
    Tensors& outputs, Tensors& inputs, const c10d::ReduceScatterOptions& options) {
  if (outputs.size() != inputs.size() || inputs.empty())
    Throw("reduce_scatter_tensor of lists that differ in length");
  const auto [reduction, scale] = ReductionOf(options.reduceOp);
  const lockstep_options here = Options(options.timeout, scale);
  Call call(*this);
  for (size_t i = 0; i < inputs.size(); ++i)
    AddReduceScatter(call, outputs[i], {inputs[i]}, reduction, here);
  return Started(std::move(call), c10d::OpType::COALESCED,
                 "lockstep:reduce_scatter_tensor_coalesced");
}

void C10dBackend::setTimeout(std::chrono::milliseconds timeout) {
  lockstep_group_set_timeout(group_.get(), std::chrono::nanoseconds(timeout).count());
}

void C10dBackend::abort() { lockstep_group_abort(group_.get(), "the process group was aborted"); }
#endif

C10dBackend::WorkPtr C10dBackend::alltoall_base(at::Tensor& output, at::Tensor& input,
                                                std::vector<int64_t>& output_rows,
                                                std::vector<int64_t>& input_rows,
                                                const c10d::AllToAllOptions& options) {
  const lockstep_options here = Options(options.timeout);
  const std::vector<size_t> in_counts = ElementsPerRank(input, input_rows, getSize());
  const std::vector<size_t> out_counts = ElementsPerRank(output, output_rows, getSize());
  const bool even = input_rows.empty() && output_rows.empty();
  Call call(*this);
  const lockstep_buffer in = call.tensors.In(input);
  const lockstep_buffer out = call.tensors.Out(output);
  call.works.push_back(even ? lockstep_all_to_all(call.group, &in, &out, &here)
                            : lockstep_all_to_all_v(call.group, &in, in_counts.data(), &out,
                                                    out_counts.data(), &here));
  call.tensors.AddResult(output);
  return Started(std::move(call), c10d::OpType::ALLTOALL_BASE, "lockstep:all_to_all_single");
}

C10dBackend::WorkPtr C10dBackend::alltoall(Tensors& outputs, Tensors& inputs,
                                           const c10d::AllToAllOptions& options) {
  const lockstep_options here = Options(options.timeout);
  CheckPerRank("all_to_all", inputs.size());
  CheckPerRank("all_to_all", outputs.size());
  Call call(*this);
  const std::vector<size_t> in_counts = CountsOf(inputs);
  const std::vector<size_t> out_counts = CountsOf(outputs);
  const lockstep_buffer in = call.tensors.In(inputs);
  const lockstep_buffer out = call.tensors.Out(outputs);
  call.works.push_back(
      lockstep_all_to_all_v(call.group, &in, in_counts.data(), &out, out_counts.data(), &here));
  for (const at::Tensor& tensor : outputs) call.tensors.AddResult(tensor);
  return Started(std::move(call), c10d::OpType::ALLTOALL, "lockstep:all_to_all");
}

C10dBackend::WorkPtr C10dBackend::send(Tensors& tensors, int to, int tag) {
  CheckTag(tag);
  const lockstep_options here = Options(std::chrono::milliseconds(0));
  Call call(*this);
  const lockstep_buffer buffer = call.tensors.In(Only("send", tensors));
  call.works.push_back(lockstep_send(call.group, &buffer, to, &here));
  return Started(std::move(call), c10d::OpType::SEND, "lockstep:send");
}

C10dBackend::WorkPtr C10dBackend::recv(Tensors& tensors, int from, int tag) {
  CheckTag(tag);
  const lockstep_options here = Options(std::chrono::milliseconds(0));
  Call call(*this);
  const lockstep_buffer buffer = call.tensors.Out(Only("recv", tensors));
  call.works.push_back(lockstep_recv(call.group, &buffer, from, &here));
  call.tensors.AddResult(tensors[0]);
  return Started(std::move(call), c10d::OpType::RECV, "lockstep:recv");
}

C10dBackend::WorkPtr C10dBackend::recvAnysource(Tensors&, int) {
  Throw(
      "the backend lockstep has no receive from any rank; name the sender: recv(tensor, src=RANK)");
}

C10dBackend::WorkPtr C10dBackend::barrier(const c10d::BarrierOptions& options) {
  const lockstep_options here = Options(options.timeout);
  Call call(*this);
  call.works.push_back(lockstep_barrier(call.group, &here));
  return Started(std::move(call), c10d::OpType::BARRIER, "lockstep:barrier");
}

void C10dBackend::monitoredBarrier(const c10d::BarrierOptions& options, bool) {
  barrier(options)->wait();
}

uint64_t C10dBackend::getSequenceNumberForGroup() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return sequence_;
}

}  // namespace lockstep::train
