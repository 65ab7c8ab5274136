// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/checkpoint_store.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

namespace lockstep::rank {
namespace {

using base::InvalidArgumentError;
using base::OkStatus;
using base::Result;
using base::Status;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kTemporary = ".tmp";
constexpr std::string_view kFileName = "/state.safetensors";
// It fitted into a rank's memory once; a limit here would only refuse what Write has saved.
constexpr size_t kFileBytesMax = std::numeric_limits<size_t>::max() - 1;

/// The step of "step-120"; nothing for any other name.
std::optional<int64_t> StepOf(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size());
  int64_t step = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (error != std::errc() || end != digits.data() + digits.size() || step < 0) return std::nullopt;
  return step;
}

bool IsTemporary(std::string_view name) {
  return name.ends_with(kTemporary) &&
         StepOf(name.substr(0, name.size() - kTemporary.size())).has_value();
}

/// A folder that was there already may be new to the disk. One above that is closed to this user is
/// another user's, and as old as that.
Status SyncName(const std::string& directory, storage::FileSystem& files) {
  const std::filesystem::path normal = (std::filesystem::path(directory) / "").lexically_normal();
  const std::string parent = normal.parent_path().parent_path().string();
  const Status synced = files.SyncDirectory(parent.empty() ? "." : parent);
  if (synced.code() == base::Code::kPermissionDenied) return OkStatus();
  return synced.WithFrame("while making the name of the checkpoint directory durable");
}

}  // namespace

Result<std::unique_ptr<CheckpointStore>> CheckpointStore::Create(Config config,
                                                                 storage::FileSystem& files) {
  if (config.directory.empty()) return InvalidArgumentError("no checkpoint directory was named");
  if (config.keep_last < 1) {
    return InvalidArgumentError("keep_last is " + std::to_string(config.keep_last) +
                                "; it must be at least 1");
  }
  RETURN_IF_ERROR(
      files.MakeDirectories(config.directory).WithFrame("while making the checkpoint directory"));
  RETURN_IF_ERROR(SyncName(config.directory, files));
  return std::unique_ptr<CheckpointStore>(new CheckpointStore(std::move(config), files));
}

Status CheckpointStore::Write(int64_t step, const CheckpointMetadata& metadata,
                              std::vector<TensorView> tensors) {
  if (step < 0) return InvalidArgumentError("a checkpoint of step " + std::to_string(step));
  const std::string path = PathOf(step);
  if (Status added = Add(step, metadata, std::move(tensors)); !added.ok()) {
    std::string frame = path + " was not saved, checkpoints of other steps are kept";
    if (added.code() == base::Code::kResourceExhausted) {
      frame += "; make room on that disk or name another checkpoint directory";
    }
    return added.WithFrame(frame);
  }
  is_whole_[step] = true;
  return RemoveOutdated(step).WithFrame("checkpoint " + path +
                                        " is safe, but removing old ones failed");
}

Status CheckpointStore::Add(int64_t step, const CheckpointMetadata& metadata,
                            std::vector<TensorView> tensors) {
  const std::string temporary = PathOf(step) + std::string(kTemporary);
  RETURN_IF_ERROR(Sweep());  // first: the new one may need the room
  RETURN_IF_ERROR(files_.MakeDirectories(temporary));
  if (Status written = WriteCheckpointFile(files_, temporary + std::string(kFileName), metadata,
                                           std::move(tensors));
      !written.ok()) {
    (void)files_.RemoveTree(temporary);  // on a full disk the next one needs the room
    return written;
  }
  RETURN_IF_ERROR(files_.SyncDirectory(temporary));
  return Publish(step, temporary);
}

/// Gives the folder its name. Where there is one of that name already (it was refused, or this run
/// came by here before) only the file changes place: no moment is without one of the two.
Status CheckpointStore::Publish(int64_t step, const std::string& temporary) {
  const std::string path = PathOf(step);
  ASSIGN_OR_RETURN(const std::vector<int64_t> steps, Steps());
  if (std::find(steps.begin(), steps.end(), step) == steps.end()) {
    RETURN_IF_ERROR(files_.Rename(temporary, path));
    return files_.SyncDirectory(config_.directory);
  }
  const std::string file(kFileName);
  RETURN_IF_ERROR(files_.Rename(temporary + file, path + file));
  return files_.SyncDirectory(path);
}

Result<CheckpointStore::Search> CheckpointStore::FindNewest() {
  ASSIGN_OR_RETURN(const std::vector<int64_t> steps, Steps());
  Search search;
  for (const int64_t step : steps) {
    Result<CheckpointFile> file = Read(step);
    if (file.ok()) {
      search.found = Loaded{step, std::move(file).value()};
      return search;
    }
    search.refused.push_back(file.status().WithFrame("checkpoint " + PathOf(step) + " is refused"));
  }
  if (!search.refused.empty()) {
    return base::DataLossError("none of the " + std::to_string(steps.size()) + " checkpoints in " +
                               config_.directory + " is whole; move them away to start afresh")
        .WithCause(search.refused.front());
  }
  return search;
}

std::string CheckpointStore::PathOf(int64_t step) const {
  return config_.directory + "/" + std::string(kPrefix) + std::to_string(step);
}

/// Newest first.
Result<std::vector<int64_t>> CheckpointStore::Steps() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.ListDirectory(config_.directory));
  std::vector<int64_t> steps;
  for (const std::string& name : names) {
    // Not "step-007": PathOf would not find it again.
    if (const auto step = StepOf(name); step && name == kPrefix.data() + std::to_string(*step)) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end(), std::greater());
  return steps;
}

Result<CheckpointFile> CheckpointStore::Read(int64_t step) {
  is_whole_[step] = false;
  ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                   files_.ReadFile(PathOf(step) + std::string(kFileName), kFileBytesMax));
  ASSIGN_OR_RETURN(CheckpointFile file, CheckpointFile::Parse(std::move(bytes)));
  is_whole_[step] = true;
  return file;
}

bool CheckpointStore::IsWhole(int64_t step) {
  const auto known = is_whole_.find(step);
  return known != is_whole_.end() ? known->second : Read(step).ok();
}

/// What a crash left of older writes, and Publish of the last.
Status CheckpointStore::Sweep() {
  const Result<std::vector<std::string>> names = files_.ListDirectory(config_.directory);
  if (names.status().code() == base::Code::kNotFound) return OkStatus();  // is made again
  RETURN_IF_ERROR(names.status());
  for (const std::string& name : *names) {
    if (IsTemporary(name)) RETURN_IF_ERROR(files_.RemoveTree(config_.directory + "/" + name));
  }
  return OkStatus();
}

Status CheckpointStore::RemoveOutdated(int64_t newest_step) {
  RETURN_IF_ERROR(Sweep());
  ASSIGN_OR_RETURN(std::vector<int64_t> steps, Steps());
  std::erase_if(steps, [newest_step](int64_t step) { return step > newest_step; });
  // Where there are no more than are to be kept, none needs to be read.
  if (steps.size() <= static_cast<size_t>(config_.keep_last)) return OkStatus();
  int kept = 0;
  for (const int64_t step : steps) {
    if (kept < config_.keep_last) {
      kept += IsWhole(step);
      continue;
    }
    // Under its own name it must not be found half removed.
    const std::string temporary = PathOf(step) + std::string(kTemporary);
    RETURN_IF_ERROR(files_.Rename(PathOf(step), temporary));
    is_whole_.erase(step);
    RETURN_IF_ERROR(files_.RemoveTree(temporary));
  }
  return OkStatus();
}

}  // namespace lockstep::rank
