// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_RANK_CHECKPOINT_FAKE_FILE_SYSTEM_H_
#define LOCKSTEP_RUNTIME_RANK_CHECKPOINT_FAKE_FILE_SYSTEM_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/rank/checkpoint/file_system.h"

namespace lockstep::rank {

/// A file system in memory for tests, in which a chosen call fails and the power goes at a chosen
/// call. Only absolute, normal paths. Single-threaded.
///
/// What a power cut keeps: names as they were at the last SyncDirectory of the folder they are in
/// (kOnlySynced), or all that happened (kEverything): a real disk may do either.
class FakeFileSystem final : public FileSystem {
 public:
  enum class PowerCut { kOnlySynced, kEverything };

  /// The call numbered `k` from now (1 = the next) fails with ResourceExhausted, having done half
  /// of it where it has halves; with `and_all_after`, so does every later one. 0: none.
  void FailCall(int k, bool and_all_after = false);
  /// Fallible calls since FailCall.
  int calls() const { return calls_; }

  void CutPower(PowerCut what_stays);
  /// The file's bytes, to damage them.
  std::vector<std::byte>& File(const std::string& path);

  base::Status MakeDirectories(const std::string& path) override;
  base::Status WriteDurably(const std::string& path,
                            std::span<const std::span<const std::byte>> parts) override;
  base::Status SyncDirectory(const std::string& path) override;
  base::Status Rename(const std::string& from, const std::string& to) override;
  base::Status RemoveTree(const std::string& path) override;
  base::Result<std::vector<std::string>> ListDirectory(const std::string& path) override;
  base::Result<std::vector<std::byte>> ReadFile(const std::string& path) override;

 private:
  /// By path; nullopt is a folder.
  using Tree = std::map<std::string, std::optional<std::vector<std::byte>>>;

  bool ThisCallFails();
  base::Status Failure(const std::string& what) const;
  bool EveryNameIsSynced(std::string path, const std::string& folder) const;

  Tree now_;
  Tree synced_;                           // what a power cut leaves
  std::set<std::string> unsynced_names_;  // made or renamed since their folder was synced
  int calls_ = 0;
  int failing_call_ = 0;
  bool and_all_after_ = false;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_RUNTIME_RANK_CHECKPOINT_FAKE_FILE_SYSTEM_H_
