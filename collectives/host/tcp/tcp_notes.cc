// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_notes.h"

#include <utility>

namespace lockstep::collectives {

std::vector<int> TcpNotes::NoticeChildrenOf(int member, int member_count) {
  std::vector<int> children;
  const int first = member * kNoticeFanOut + 1;
  for (int child = first; child < first + kNoticeFanOut && child < member_count; ++child)
    children.push_back(child);
  return children;
}

bool TcpNotes::SetNotice(std::string bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (notice_.has_value()) return false;
  notice_ = std::move(bytes);
  return true;
}

std::optional<std::string> TcpNotes::notice() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return notice_;
}

void TcpNotes::Put(int member, uint64_t seq, std::string bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Note>& notes = notes_[static_cast<size_t>(member)];
  if (notes.empty()) notes.resize(kKept);
  Note& place = notes[seq % kKept];
  if (place.seq < seq) place = {seq, std::move(bytes)};
}

std::optional<std::string> TcpNotes::Get(int member, uint64_t seq) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::vector<Note>& notes = notes_[static_cast<size_t>(member)];
  if (seq == 0 || notes.empty() || notes[seq % kKept].seq != seq) return std::nullopt;
  return notes[seq % kKept].bytes;
}

std::map<uint64_t, std::string> TcpNotes::Kept(int member) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::map<uint64_t, std::string> kept;
  for (const Note& note : notes_[static_cast<size_t>(member)]) {
    if (note.seq != 0) kept.emplace(note.seq, note.bytes);
  }
  return kept;
}

}  // namespace lockstep::collectives
