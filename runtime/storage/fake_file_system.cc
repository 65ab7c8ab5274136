// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/storage/fake_file_system.h"

#include <algorithm>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::storage {
namespace {

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool IsBelow(const std::string& path, const std::string& folder) {
  return path.starts_with(folder + "/");
}

bool IsSameOrBelow(const std::string& path, const std::string& folder) {
  return path == folder || IsBelow(path, folder);
}

}  // namespace

void FakeFileSystem::FailCall(int k, bool and_all_after) {
  calls_ = 0;
  failing_call_ = k;
  and_all_after_ = and_all_after;
}

void FakeFileSystem::CutPower(PowerCut what_stays) {
  if (what_stays == PowerCut::kOnlySynced) {
    now_ = synced_;
    std::erase_if(now_, [this](const auto& entry) { return !IsFolder(ParentOf(entry.first)); });
    for (auto& [path, content] : now_) {
      if (content.has_value() && !content->is_durable) content->bytes.clear();
    }
  }
  synced_ = now_;
  unsynced_names_.clear();
}

std::vector<std::byte>& FakeFileSystem::File(const std::string& path) {
  LOCKSTEP_CHECK(IsFile(path), path.c_str());
  return now_[path]->bytes;
}

bool FakeFileSystem::IsFolder(const std::string& path) const {
  const auto found = now_.find(path);
  return path.empty() || (found != now_.end() && !found->second.has_value());
}

bool FakeFileSystem::IsFile(const std::string& path) const {
  return now_.contains(path) && !IsFolder(path);
}

bool FakeFileSystem::IsEmptyFolder(const std::string& path) const {
  return IsFolder(path) && std::none_of(now_.begin(), now_.end(), [&](const auto& entry) {
           return IsBelow(entry.first, path);
         });
}

bool FakeFileSystem::ThisCallFails() {
  ++calls_;
  return failing_call_ != 0 &&
         (calls_ == failing_call_ || (and_all_after_ && calls_ > failing_call_));
}

base::Status FakeFileSystem::Failure(const std::string& what) const {
  return base::ResourceExhaustedError(what + ": made to fail");
}

base::Status FakeFileSystem::MakeDirectory(const std::string& path) {
  if (ThisCallFails()) return Failure("make folder " + path);
  if (!IsFolder(ParentOf(path))) return base::NotFoundError("make folder " + path);
  if (!now_.emplace(path, std::nullopt).second)
    return base::AlreadyExistsError("make folder " + path);
  unsynced_names_.insert(path);
  return base::OkStatus();
}

base::Status FakeFileSystem::MakeDirectories(const std::string& path) {
  if (ThisCallFails()) return Failure("make folder " + path);
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string folder = path.substr(0, end);
    if (IsFile(folder)) return base::AlreadyExistsError("make folder " + folder);
    if (now_.emplace(folder, std::nullopt).second) synced_.emplace(folder, std::nullopt);
    if (end == std::string::npos) return base::OkStatus();
  }
}

base::Status FakeFileSystem::WriteFile(const std::string& path,
                                       std::span<const std::span<const std::byte>> parts,
                                       WriteOptions options) {
  if (!IsFolder(ParentOf(path))) return base::NotFoundError("open " + path);
  if (IsFolder(path)) return base::InvalidArgumentError("open " + path);
  Content content{.is_durable = options.is_durable};
  for (const auto& part : parts) {
    content.bytes.insert(content.bytes.end(), part.begin(), part.end());
  }
  now_.erase(path);
  size_t left = space_bytes_;
  for (const auto& [name, other] : now_) left -= other.has_value() ? other->bytes.size() : 0;
  bool fails = ThisCallFails();
  if (fails) content.bytes.resize(content.bytes.size() / 2);
  if (content.bytes.size() > left) {
    content.bytes.resize(left);
    fails = true;
  }
  now_[path] = std::move(content);
  unsynced_names_.insert(path);
  return fails ? Failure("write " + path) : base::OkStatus();
}

base::Status FakeFileSystem::SyncDirectory(const std::string& path) {
  if (ThisCallFails()) return Failure("fsync " + path);
  const std::string folder = path == "/" ? "" : path;
  if (!IsFolder(folder)) return base::NotFoundError("open " + path);
  std::erase_if(synced_, [&](const auto& entry) {
    if (!IsBelow(entry.first, folder)) return false;
    const std::string child = entry.first.substr(0, entry.first.find('/', folder.size() + 1));
    return !now_.contains(child) || unsynced_names_.contains(child);
  });
  std::erase_if(unsynced_names_, [&](const std::string& name) { return ParentOf(name) == folder; });
  for (const auto& [name, content] : now_) {
    if (IsBelow(name, folder) && EveryNameIsSynced(name, folder)) synced_[name] = content;
  }
  return base::OkStatus();
}

/// From `path` down to that below `folder`. What hangs below a new name is as safe as its own
/// names.
bool FakeFileSystem::EveryNameIsSynced(std::string path, const std::string& folder) const {
  for (; path != folder; path = ParentOf(path)) {
    if (unsynced_names_.contains(path)) return false;
  }
  return true;
}

base::Status FakeFileSystem::Rename(const std::string& from, const std::string& to) {
  if (ThisCallFails()) return Failure("rename " + from + " to " + to);
  if (!now_.contains(from)) return base::NotFoundError("rename " + from);
  if (now_.contains(to) && !(IsFile(from) && IsFile(to)) && !IsEmptyFolder(to)) {
    return base::FailedPreconditionError("rename to " + to + ": Directory not empty");
  }
  now_.erase(to);
  Tree moved;
  std::set<std::string> moved_unsynced = {to};
  std::erase_if(now_, [&](const auto& entry) {
    if (!IsSameOrBelow(entry.first, from)) return false;
    const std::string name = to + entry.first.substr(from.size());
    moved[name] = entry.second;
    if (unsynced_names_.erase(entry.first) > 0) moved_unsynced.insert(name);
    return true;
  });
  now_.merge(moved);
  unsynced_names_.merge(moved_unsynced);
  return base::OkStatus();
}

base::Status FakeFileSystem::RemoveFile(const std::string& path) {
  if (ThisCallFails()) return Failure("remove " + path);
  if (!now_.contains(path)) return base::NotFoundError("remove " + path);
  if (IsFolder(path)) return base::InvalidArgumentError("remove " + path);
  now_.erase(path);
  unsynced_names_.erase(path);
  return base::OkStatus();
}

base::Status FakeFileSystem::RemoveTree(const std::string& path) {
  const bool fails = ThisCallFails();
  // Half of it: the files are gone, the folders are not.
  std::erase_if(now_, [&](const auto& entry) {
    if (!IsSameOrBelow(entry.first, path) || (fails && !entry.second.has_value())) return false;
    unsynced_names_.erase(entry.first);
    return true;
  });
  return fails ? Failure("remove " + path) : base::OkStatus();
}

base::Result<std::vector<std::string>> FakeFileSystem::ListDirectory(const std::string& path) {
  if (ThisCallFails()) return Failure("list " + path);
  if (!now_.contains(path)) return base::NotFoundError("list folder " + path);
  if (!IsFolder(path)) return base::InvalidArgumentError("list folder " + path);
  std::vector<std::string> names;
  for (const auto& [name, content] : now_) {
    if (IsBelow(name, path) && ParentOf(name) == path)
      names.push_back(name.substr(path.size() + 1));
  }
  return names;
}

base::Result<std::vector<std::byte>> FakeFileSystem::ReadFile(const std::string& path,
                                                              size_t bytes_max) {
  if (ThisCallFails()) return Failure("read " + path);
  const auto found = now_.find(path);
  if (found == now_.end()) return base::NotFoundError("open " + path);
  if (!found->second.has_value()) return base::InvalidArgumentError(path + " is no regular file");
  if (found->second->bytes.size() > bytes_max) {
    return base::ResourceExhaustedError("read " + path + ": it is longer than " +
                                        std::to_string(bytes_max) + " bytes");
  }
  return found->second->bytes;
}

}  // namespace lockstep::storage
