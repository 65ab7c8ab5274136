// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_lines.h"

#include <algorithm>
#include <cstring>

namespace lockstep::process {
namespace {

/// 0 when there is none. memrchr, since string_view::rfind goes byte by byte.
size_t PastLastReturn(std::string_view text) {
  const void* last = ::memrchr(text.data(), '\r', text.size());
  return last == nullptr ? 0
                         : static_cast<size_t>(static_cast<const char*>(last) - text.data()) + 1;
}

/// What a terminal shows in the end of a line in which "\r" goes back to its start. A "\r" at the
/// very end is that of
/// "\r\n".
std::string_view AfterLastReturn(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line.substr(PastLastReturn(line));
}

}  // namespace

uint64_t CountLines(std::string_view text) {
  uint64_t lines = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  // memchr, since std::count goes byte by byte where the compiler does not vectorize.
  while (at < end) {
    at = static_cast<const char*>(std::memchr(at, '\n', static_cast<size_t>(end - at)));
    if (at == nullptr) break;
    ++at;
    ++lines;
  }
  return lines;
}

void OutputLines::Feed(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    const void* newline = std::memchr(bytes.data(), '\n', bytes.size());
    if (newline == nullptr) {
      Hold(bytes, out);
      return;
    }
    const size_t length = static_cast<size_t>(static_cast<const char*>(newline) - bytes.data());
    FeedLine(bytes.substr(0, length), out);
    bytes.remove_prefix(length + 1);
  }
}

uint64_t OutputLines::Skip(std::string_view bytes) {
  std::string unwanted;
  const void* last = ::memrchr(bytes.data(), '\n', bytes.size());
  if (last == nullptr) {
    Hold(bytes, &unwanted);
    return CountLines(unwanted);
  }
  // None of the whole lines leaves anything behind.
  const size_t whole = static_cast<size_t>(static_cast<const char*>(last) - bytes.data()) + 1;
  unfinished_.clear();
  progress_.clear();
  continues_ = false;
  Hold(bytes.substr(whole), &unwanted);
  return CountLines(bytes.substr(0, whole)) + CountLines(unwanted);
}

void OutputLines::FeedLine(std::string_view line, std::string* out) {
  if (unfinished_.empty() && line.size() <= kLineBytesMax) {
    Emit(AfterLastReturn(line), out);  // nearly every line
  } else {
    Hold(line, out);
    Emit(AfterLastReturn(unfinished_), out);
    unfinished_.clear();
  }
  progress_.clear();
  continues_ = false;
}

void OutputLines::Hold(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    const size_t taken = std::min(bytes.size(), kLineBytesMax - unfinished_.size());
    // What was held before has no "\r" but perhaps at its end.
    const size_t searched = unfinished_.empty() ? 0 : unfinished_.size() - 1;
    unfinished_.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    // A "\r" at the end may yet become "\r\n", so what it overwrites stays until more comes.
    const std::string_view fresh(unfinished_.data() + searched, unfinished_.size() - searched - 1);
    if (const size_t past = PastLastReturn(fresh); past > 0) {
      const std::string_view overwritten =
          AfterLastReturn(std::string_view(unfinished_).substr(0, searched + past));
      if (!overwritten.empty()) progress_ = overwritten;
      unfinished_.erase(0, searched + past);
    } else if (unfinished_.size() == kLineBytesMax && !bytes.empty()) {
      Emit(unfinished_, out);
      unfinished_.clear();
      continues_ = true;
    }
  }
}

void OutputLines::Emit(std::string_view text, std::string* out) {
  out->append(prefix_);
  if (continues_) out->append(kContinuation);
  out->append(text);
  out->push_back('\n');
}

void OutputLines::TakeProgress(std::string* out) {
  if (!has_progress()) return;
  Emit(progress_, out);
  progress_.clear();
}

void OutputLines::Finish(std::string* out) {
  if (!unfinished_.empty()) {
    Emit(AfterLastReturn(unfinished_), out);
    unfinished_.clear();
  } else if (has_progress()) {
    Emit(progress_, out);
  }
  progress_.clear();
  continues_ = false;
}

}  // namespace lockstep::process
