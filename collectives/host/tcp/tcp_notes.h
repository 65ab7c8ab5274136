// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_NOTES_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_NOTES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace lockstep::collectives {

/// Bytes that members of a group tell each other for what is built upon it, which TCP carries
/// without looking into them: one notice of member 0's to all, and notes of each member's to all,
/// by op. One in each TcpEnd. Thread-safe.
class TcpNotes {
 public:
  static constexpr size_t kBytesMax = 512;
  /// Of each member the notes of its last ops. 512 of these bytes each at most, for members that
  /// send any.
  static constexpr size_t kKept = 64;
  /// The notice goes from member to member: member m has it from (m - 1) / kNoticeFanOut, so that
  /// nobody needs a connection to each of a thousand.
  static constexpr int kNoticeFanOut = 16;

  static int NoticeParentOf(int member) { return (member - 1) / kNoticeFanOut; }
  static std::vector<int> NoticeChildrenOf(int member, int member_count);

  explicit TcpNotes(int member_count) : notes_(static_cast<size_t>(member_count)) {}

  /// False when it was there already.
  bool SetNotice(std::string bytes);
  std::optional<std::string> notice() const;

  /// `seq` is from 1. Older than what is kept of that member, it is not put.
  void Put(int member, uint64_t seq, std::string bytes);
  std::optional<std::string> Get(int member, uint64_t seq) const;
  /// All that are kept of that member, in their order.
  std::map<uint64_t, std::string> Kept(int member) const;

 private:
  struct Note {
    uint64_t seq = 0;  // 0 = none
    std::string bytes;
  };

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::optional<std::string> notice_;
  std::vector<std::vector<Note>> notes_;  // by member; empty, or kKept by seq modulo that
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_NOTES_H_
