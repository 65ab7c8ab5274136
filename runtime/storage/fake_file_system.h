// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_STORAGE_FAKE_FILE_SYSTEM_H_
#define LOCKSTEP_RUNTIME_STORAGE_FAKE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/storage/file_system.h"

namespace lockstep::storage {

/// A file system in memory for tests, in which a chosen call fails and the power goes at a chosen
/// call. Only absolute, normal paths. Single-threaded.
///
/// What a power cut keeps: names as they were at the last SyncDirectory of the folder they are in,
/// and of files that were not written durably nothing but the name (kOnlySynced); or all that
/// happened (kEverything): a real disk may do either.
class FakeFileSystem final : public FileSystem {
 public:
  enum class PowerCut : uint8_t { kOnlySynced, kEverything };

  /// The call numbered `k` from now (1 = the next) fails with ResourceExhausted, having done half
  /// of it where it has halves; with `and_all_after`, so does every later one. 0: none.
  void FailCall(int k, bool and_all_after = false);
  /// What all files together may hold; a write beyond it fails with ResourceExhausted, having
  /// filled the rest. Without limit until then.
  void LimitSpace(size_t bytes) { space_bytes_ = bytes; }
  /// Fallible calls since FailCall.
  int calls() const { return calls_; }

  void CutPower(PowerCut what_stays);
  /// The file's bytes, to damage them.
  std::vector<std::byte>& File(const std::string& path);

  base::Status MakeDirectory(const std::string& path) override;
  base::Status MakeDirectories(const std::string& path) override;
  base::Status WriteFile(const std::string& path, std::span<const std::span<const std::byte>> parts,
                         WriteOptions options) override;
  base::Status SyncDirectory(const std::string& path) override;
  base::Status Rename(const std::string& from, const std::string& to) override;
  base::Status RemoveFile(const std::string& path) override;
  base::Status RemoveTree(const std::string& path) override;
  base::Result<std::vector<std::string>> ListDirectory(const std::string& path) override;
  base::Result<std::vector<std::byte>> ReadFile(const std::string& path, size_t bytes_max) override;

 private:
  struct Content {
    std::vector<std::byte> bytes;
    bool is_durable = false;
  };
  /// By path; nullopt is a folder.
  using Tree = std::map<std::string, std::optional<Content>>;

  bool ThisCallFails();
  bool IsFolder(const std::string& path) const;
  bool IsFile(const std::string& path) const;
  bool IsEmptyFolder(const std::string& path) const;
  base::Status Failure(const std::string& what) const;
  bool EveryNameIsSynced(std::string path, const std::string& folder) const;

  Tree now_;
  Tree synced_;                           // what a power cut leaves
  std::set<std::string> unsynced_names_;  // made or renamed since their folder was synced
  size_t space_bytes_ = SIZE_MAX;
  int calls_ = 0;
  int failing_call_ = 0;
  bool and_all_after_ = false;
};

}  // namespace lockstep::storage

#endif  // LOCKSTEP_RUNTIME_STORAGE_FAKE_FILE_SYSTEM_H_
