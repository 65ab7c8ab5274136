// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_ROTATION_LEDGER_H_
#define LOCKSTEP_RUNTIME_PROCESS_ROTATION_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace lockstep::process {

/// How far streams have got whose files are rotated, for those who read the files by the streams'
/// offsets while another thread rotates them: who finds the same before and after it has opened the
/// files has files that belong together. One per OutputPump, shared with its readers. Thread-safe.
class RotationLedger {
 public:
  struct Stream {
    uint64_t given_up_bytes = 0;  // of its beginning: in no file any more
    uint64_t rotated_bytes = 0;   // that come before the file that grows
    int rotations = 0;

    friend bool operator==(const Stream&, const Stream&) = default;
  };

  /// `path`: of the file that grows. Of one that was never rotated: all zero.
  Stream Find(const std::string& path) const;
  /// Runs `change`, which renames files and writes down what that did, while nobody can look.
  void Change(const std::string& path, const std::function<void(Stream&)>& change);
  /// Whether bytes of any stream are in no file any more because of rotations.
  bool HasGivenUp() const;
  /// All files of the stream were removed.
  void Forget(const std::string& path);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Stream> streams_;  // guarded by mutex_; of those that were ever rotated
};

}  // namespace lockstep::process

#endif  // LOCKSTEP_RUNTIME_PROCESS_ROTATION_LEDGER_H_
