// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/torch/checkpointer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/types.h>

#include <charconv>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "collectives/work.h"
#include "runtime/torch/agreement.h"
#include "runtime/torch/module_tensors.h"
#include "runtime/torch/optimizer_state.h"
#include "runtime/torch/torch_status.h"

namespace lockstep::train {
namespace {

using base::FailedPreconditionError;
using base::OkStatus;
using base::Result;
using base::Status;
using collectives::Dtype;
using collectives::Group;
using rank::CheckpointFile;
using rank::CheckpointMetadata;
using rank::CheckpointStore;
using rank::DistributedSampler;
using rank::TensorView;

constexpr const char* kFormat = "1";
constexpr std::string_view kModel = "model/";
constexpr std::string_view kOptimizer = "optimizer/";
constexpr std::string_view kOptimizerOption = "lockstep.optimizer.";
constexpr const char* kGenerators = "rng/cpu";

// What brings the parts to a checkpoint's state, after all of it was found to fit.
using Changes = std::vector<std::function<void()>>;

// --- Random number generators ---

at::Tensor GeneratorState() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state().contiguous();
}

void SetGeneratorState(const at::Tensor& state) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

/// OK when the generator would take it: LibTorch throws for what no generator has saved.
Status CheckGeneratorState(const at::Tensor& state) {
  const Status tried = CatchExceptions("trying it", [&state] {
    at::detail::createCPUGenerator().set_state(state);
    return OkStatus();
  });
  if (tried.ok()) return tried;
  return FailedPreconditionError("the checkpoint's '" + std::string(kGenerators) +
                                 "' is no state of a generator of this LibTorch")
      .WithCause(tried);
}

/// Those of all ranks, one after the other. Collective.
Result<std::vector<std::byte>> GatherGenerators(Group& group) {
  const at::Tensor mine = GeneratorState();
  std::vector<std::byte> all(mine.nbytes() * static_cast<size_t>(group.size()));
  RETURN_IF_ERROR(group
                      .AllGather({mine.data_ptr(), mine.nbytes(), Dtype::kU8},
                                 {all.data(), all.size(), Dtype::kU8}, {.tag = "generators"})
                      ->Wait());
  return all;
}

// --- Numbers in metadata ---

Result<std::string> Read(const CheckpointMetadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end())
    return FailedPreconditionError("the checkpoint has no '" + key + "'");
  return found->second;
}

template <class Int>
Status ReadInteger(const CheckpointMetadata& metadata, const std::string& key, Int& value) {
  ASSIGN_OR_RETURN(const std::string text, Read(metadata, key));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return OkStatus();
  return FailedPreconditionError("the checkpoint's '" + key + "' is '" + text + "', no integer");
}

void AddSampler(const DistributedSampler::State& state, CheckpointMetadata& metadata) {
  metadata["lockstep.sampler.seed"] = std::to_string(state.seed);
  metadata["lockstep.sampler.epoch"] = std::to_string(state.epoch);
  metadata["lockstep.sampler.cursor"] = std::to_string(state.cursor);
  metadata["lockstep.sampler.dataset_size"] = std::to_string(state.dataset_size);
  metadata["lockstep.sampler.global_batch"] = std::to_string(state.global_batch);
}

Result<DistributedSampler::State> ReadSampler(const CheckpointMetadata& metadata) {
  DistributedSampler::State state;
  RETURN_IF_ERROR(ReadInteger(metadata, "lockstep.sampler.seed", state.seed));
  RETURN_IF_ERROR(ReadInteger(metadata, "lockstep.sampler.epoch", state.epoch));
  RETURN_IF_ERROR(ReadInteger(metadata, "lockstep.sampler.cursor", state.cursor));
  RETURN_IF_ERROR(ReadInteger(metadata, "lockstep.sampler.dataset_size", state.dataset_size));
  RETURN_IF_ERROR(ReadInteger(metadata, "lockstep.sampler.global_batch", state.global_batch));
  return state;
}

// --- Tensors ---

/// `contiguous` holds what the view points at.
Result<TensorView> ViewOf(std::string name, const at::Tensor& contiguous) {
  const Result<Dtype> dtype = DtypeOf(contiguous);
  if (!dtype.ok()) return dtype.status().WithFrame("while saving '" + name + "'");
  return TensorView{std::move(name),
                    *dtype,
                    contiguous.sizes().vec(),
                    {static_cast<const std::byte*>(contiguous.data_ptr()), contiguous.nbytes()}};
}

/// A copy: the file's bytes need not be aligned.
Result<at::Tensor> TensorOf(const TensorView& view) {
  ASSIGN_OR_RETURN(const at::ScalarType type, ScalarTypeOf(view.dtype));
  at::Tensor tensor = at::empty(view.shape, at::TensorOptions(type));
  if (!view.bytes.empty()) std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
  return tensor;
}

std::vector<NamedTensor> ModelTensors(const torch::nn::Module& module) {
  std::vector<NamedTensor> tensors = ParametersOf(module);
  for (NamedTensor& buffer : BuffersOf(module)) tensors.push_back(std::move(buffer));
  return tensors;
}

Status PrepareModel(const CheckpointFile& file, const std::vector<NamedTensor>& tensors,
                    Changes& changes) {
  size_t in_file = 0;
  for (const TensorView& view : file.tensors()) in_file += view.name.starts_with(kModel);
  for (const NamedTensor& tensor : tensors) {
    const TensorView* view = file.Find(std::string(kModel) + tensor.name);
    if (view == nullptr)
      return FailedPreconditionError("the checkpoint has no '" + tensor.name + "' of the model");
    ASSIGN_OR_RETURN(const at::Tensor saved, TensorOf(*view));
    if (saved.sizes() != tensor.tensor.sizes() ||
        saved.scalar_type() != tensor.tensor.scalar_type()) {
      return FailedPreconditionError("the checkpoint's '" + tensor.name +
                                     "' is of another shape or dtype than the "
                                     "model's");
    }
    changes.push_back([target = tensor.tensor, saved] { target.detach().copy_(saved); });
  }
  if (in_file == tensors.size()) return OkStatus();
  return FailedPreconditionError("the checkpoint has " + std::to_string(in_file) +
                                 " tensors of a model; this one has " +
                                 std::to_string(tensors.size()));
}

Status PrepareOptimizer(const CheckpointFile& file, torch::optim::Optimizer& optimizer,
                        const std::vector<NamedTensor>& parameters, Changes& changes) {
  OptimizerState state;
  for (const TensorView& view : file.tensors()) {
    if (!view.name.starts_with(kOptimizer)) continue;
    ASSIGN_OR_RETURN(at::Tensor tensor, TensorOf(view));
    state.tensors.push_back({view.name.substr(kOptimizer.size()), std::move(tensor)});
  }
  for (const auto& [key, value] : file.metadata()) {
    if (key.starts_with(kOptimizerOption))
      state.options[key.substr(kOptimizerOption.size())] = value;
  }
  ASSIGN_OR_RETURN(auto change, PrepareOptimizerRestore(optimizer, parameters, state));
  changes.push_back(std::move(change));
  return OkStatus();
}

Status PrepareGenerator(const CheckpointFile& file, const Group& group, Changes& changes) {
  const TensorView* view = file.Find(kGenerators);
  const size_t bytes = GeneratorState().nbytes();
  if (view == nullptr || view->bytes.size() != bytes * static_cast<size_t>(group.size())) {
    return FailedPreconditionError("the checkpoint holds no states of " +
                                   std::to_string(group.size()) + " random number generators of " +
                                   std::to_string(bytes) + " bytes");
  }
  at::Tensor state = at::empty({static_cast<int64_t>(bytes)}, at::kByte);
  std::memcpy(state.data_ptr(),
              view->bytes.data() + bytes * static_cast<size_t>(group.rank().value()), bytes);
  RETURN_IF_ERROR(CheckGeneratorState(state));
  changes.push_back([state] { SetGeneratorState(state); });
  return OkStatus();
}

Status CheckWorld(const CheckpointMetadata& metadata, int world_size) {
  ASSIGN_OR_RETURN(const std::string format, Read(metadata, "lockstep.format"));
  if (format != kFormat) {
    return FailedPreconditionError("the checkpoint is of format " + format +
                                   "; this program reads format " + kFormat);
  }
  int saved = 0;
  RETURN_IF_ERROR(ReadInteger(metadata, "lockstep.world_size", saved));
  if (saved == world_size) return OkStatus();
  return FailedPreconditionError("the checkpoint was saved by " + std::to_string(saved) +
                                 " ranks, this job has " + std::to_string(world_size) +
                                 ": start it with -np " + std::to_string(saved) +
                                 ", or with another checkpoint directory to begin anew");
}

}  // namespace

Checkpointer::Checkpointer(Parts parts, Group& group) : parts_(parts), group_(group) {}
Checkpointer::~Checkpointer() = default;

Result<std::unique_ptr<Checkpointer>> Checkpointer::Create(Config config, Parts parts, Group& group,
                                                           storage::FileSystem& files) {
  auto checkpointer = std::unique_ptr<Checkpointer>(new Checkpointer(parts, group));
  Status opened;
  if (group.rank() == base::GroupRank(0)) {
    auto store = CheckpointStore::Create(std::move(config), files);
    opened = store.status();
    if (store.ok()) checkpointer->store_ = std::move(store).value();
  }
  RETURN_IF_ERROR(Agree(group, opened));
  return checkpointer;
}

Status Checkpointer::Save(int64_t step) {
  if (step == last_step_) return OkStatus();
  const Result<std::vector<std::byte>> generators =
      CatchExceptions("saving a checkpoint", [this] { return GatherGenerators(group_); });
  Status written = generators.status();
  if (written.ok() && store_ != nullptr) {
    written = CatchExceptions("saving a checkpoint", [&] { return Write(step, *generators); });
  }
  RETURN_IF_ERROR(Agree(group_, written).WithFrame("while saving step " + std::to_string(step)));
  last_step_ = step;
  return OkStatus();
}

Status Checkpointer::Write(int64_t step, const std::vector<std::byte>& generators) {
  const std::vector<NamedTensor> parameters = ParametersOf(parts_.module);
  ASSIGN_OR_RETURN(OptimizerState optimizer, CaptureOptimizerState(parts_.optimizer, parameters));
  std::vector<NamedTensor> all = ModelTensors(parts_.module);
  for (NamedTensor& tensor : all) tensor.name.insert(0, kModel);
  for (NamedTensor& tensor : optimizer.tensors) {
    all.push_back({std::string(kOptimizer) + tensor.name, std::move(tensor.tensor)});
  }

  CheckpointMetadata metadata = {{"lockstep.format", kFormat},
                                 {"lockstep.step", std::to_string(step)},
                                 {"lockstep.world_size", std::to_string(group_.size())}};
  AddSampler(parts_.sampler.state(), metadata);
  for (const auto& [key, value] : optimizer.options)
    metadata[std::string(kOptimizerOption) + key] = value;

  std::vector<TensorView> views;
  for (NamedTensor& tensor : all) {
    tensor.tensor = tensor.tensor.detach().contiguous();
    ASSIGN_OR_RETURN(TensorView view, ViewOf(tensor.name, tensor.tensor));
    views.push_back(std::move(view));
  }
  const auto rows = static_cast<int64_t>(group_.size());
  views.push_back({kGenerators,
                   Dtype::kU8,
                   {rows, static_cast<int64_t>(generators.size()) / rows},
                   generators});
  return store_->Write(step, metadata, std::move(views));
}

Result<Checkpointer::Restored> Checkpointer::Restore() {
  Restored restored;
  std::optional<CheckpointFile> file;
  Status searched;
  if (store_ != nullptr) {
    Result<CheckpointStore::Search> search =
        CatchExceptions("reading checkpoints", [this] { return store_->FindNewest(); });
    searched = search.status();
    if (search.ok()) restored.refused = std::move(search->refused);
    if (search.ok() && search->found.has_value()) file = std::move(search->found->file);
  }
  RETURN_IF_ERROR(Agree(group_, searched).WithFrame("while looking for a checkpoint"));
  RETURN_IF_ERROR(Share(file).WithFrame("while sending it to all ranks"));
  if (!file.has_value()) return restored;

  Result<Changes> changes =
      CatchExceptions("restoring a checkpoint", [&] { return Prepare(*file, restored.step); });
  RETURN_IF_ERROR(Agree(group_, changes.status()).WithFrame("while restoring a checkpoint"));
  const Status applied = CatchExceptions("putting a checkpoint back", [&changes] {
    for (const auto& change : *changes) change();
    return OkStatus();
  });
  RETURN_IF_ERROR(Agree(group_, applied).WithFrame("a part of the training is restored, end it"));
  restored.found = true;
  last_step_ = restored.step;
  return restored;
}

/// Gives rank 0's file, or the news that there is none, to everybody. Collective.
Status Checkpointer::Share(std::optional<CheckpointFile>& file) {
  const bool is_source = store_ != nullptr;
  int64_t size = file.has_value() ? static_cast<int64_t>(file->bytes().size()) : -1;
  RETURN_IF_ERROR(
      group_.Broadcast({&size, 1, Dtype::kI64}, base::GroupRank(0), {.tag = "checkpoint"})->Wait());
  if (size < 0) return OkStatus();
  const std::string what = "making room for a checkpoint of " + std::to_string(size) + " bytes";
  std::vector<std::byte> received;
  RETURN_IF_ERROR(Agree(group_, CatchExceptions(what, [&] {
                          received.resize(is_source ? 0 : static_cast<size_t>(size));
                          return OkStatus();
                        })));
  // The source is only read; Broadcast has one buffer for both directions.
  void* data = is_source ? const_cast<std::byte*>(file->bytes().data()) : received.data();
  RETURN_IF_ERROR(group_
                      .Broadcast({data, static_cast<size_t>(size), Dtype::kU8}, base::GroupRank(0),
                                 {.tag = "checkpoint"})
                      ->Wait());
  Status parsed;
  if (!is_source) {
    Result<CheckpointFile> copy =
        CatchExceptions("reading the checkpoint that was sent",
                        [&received] { return CheckpointFile::Parse(std::move(received)); });
    parsed = copy.status();
    if (copy.ok()) file = std::move(copy).value();
  }
  return Agree(group_, parsed);
}

Result<std::vector<std::function<void()>>> Checkpointer::Prepare(const CheckpointFile& file,
                                                                 int64_t& step) {
  const c10::NoGradGuard no_grad;
  RETURN_IF_ERROR(CheckWorld(file.metadata(), group_.size()));
  RETURN_IF_ERROR(ReadInteger(file.metadata(), "lockstep.step", step));
  const std::vector<NamedTensor> parameters = ParametersOf(parts_.module);
  Changes changes;
  RETURN_IF_ERROR(PrepareModel(file, ModelTensors(parts_.module), changes));
  RETURN_IF_ERROR(PrepareOptimizer(file, parts_.optimizer, parameters, changes));
  RETURN_IF_ERROR(PrepareGenerator(file, group_, changes));
  ASSIGN_OR_RETURN(const DistributedSampler::State sampler, ReadSampler(file.metadata()));
  RETURN_IF_ERROR(
      DistributedSampler(parts_.sampler).Restore(sampler));  // on a copy: whether it fits
  changes.push_back([this, sampler] { (void)parts_.sampler.Restore(sampler); });
  return changes;
}

}  // namespace lockstep::train
