// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/output_relay.h"

#include <string.h>

#include <algorithm>

#include "runtime/process/output_lines.h"

namespace lockstep::launcher {
namespace {

/// Emptied blocks that are kept: a busy relay fills two while others are sent, and memory that is
/// given back each time costs more than what is written into it.
constexpr size_t kSparesMax = 2;

/// How many bytes of `lines`, which are whole, are whole lines within `limit`.
size_t WholeLinesWithin(std::string_view lines, size_t limit) {
  if (lines.size() <= limit) return lines.size();
  const void* last = ::memrchr(lines.data(), '\n', limit);
  return last == nullptr ? 0
                         : static_cast<size_t>(static_cast<const char*>(last) - lines.data()) + 1;
}

size_t FirstLine(std::string_view lines) {
  return std::min(lines.find('\n'), lines.size() - 1) + 1;
}

}  // namespace

bool OutputRelay::HasRoom(bool is_stderr) const {
  seq_.AssertHeld();
  return streams_[is_stderr].held_bytes < kHeldBytes;
}

void OutputRelay::Take(bool is_stderr, std::string_view lines) {
  seq_.AssertHeld();
  Stream& stream = streams_[is_stderr];
  while (!lines.empty() && stream.held_bytes < kHeldBytes) {
    std::string& block = LastBlock(stream);
    size_t size = WholeLinesWithin(lines, kMessageBytes - block.size());
    if (size == 0 && !block.empty()) {
      stream.blocks.emplace_back();
      continue;
    }
    if (size == 0) size = FirstLine(lines);  // longer than a message should be
    block.append(lines.substr(0, size));
    lines.remove_prefix(size);
    stream.held_bytes += size;
  }
  dropped_lines_ += process::CountLines(lines);
  SendSoon();
}

void OutputRelay::CountDropped(uint64_t lines) {
  seq_.AssertHeld();
  dropped_lines_ += lines;
  if (lines > 0) SendSoon();
}

std::string& OutputRelay::LastBlock(Stream& stream) {
  if (stream.blocks.empty() || stream.blocks.back().size() >= kMessageBytes) {
    stream.blocks.emplace_back();
  }
  std::string& block = stream.blocks.back();
  if (block.capacity() < kMessageBytes && !spares_.empty() && block.empty()) {
    block.swap(spares_.back());
    spares_.pop_back();
  }
  return block;
}

void OutputRelay::AddCredit(uint64_t bytes) {
  seq_.AssertHeld();
  // A coordinator that gives more than anybody can hold does not overflow us.
  credit_ = std::min<int64_t>(credit_ + static_cast<int64_t>(std::min<uint64_t>(bytes, 1 << 30)),
                              int64_t{1} << 40);
  SendSome();
}

/// What else the pump reads in this turn of the loop goes along.
void OutputRelay::SendSoon() {
  if (credit_ <= 0 || soon_.active()) return;
  soon_ = loop_.After(base::Duration(0), [this] { SendSome(); });
}

void OutputRelay::SendSome() {
  seq_.AssertHeld();
  std::string& out = *message_.mutable_standard_output();
  std::string& err = *message_.mutable_standard_error();
  while (credit_ > 0) {
    Move(streams_[0], &out);
    Move(streams_[1], &err);
    if (out.empty() && err.empty() && dropped_lines_ == 0) break;
    message_.set_dropped_lines(std::exchange(dropped_lines_, 0));
    send_(message_);
    KeepForReuse(std::exchange(out, {}));
    KeepForReuse(std::exchange(err, {}));
  }
  CheckFinished();
}

void OutputRelay::Move(Stream& stream, std::string* out) {
  if (credit_ <= 0 || stream.held_bytes == 0) return;
  std::string& block = stream.blocks.front();
  const std::string_view held = std::string_view(block).substr(stream.sent);
  size_t size = WholeLinesWithin(held, static_cast<size_t>(credit_));
  // A line that is longer than all that goes in whole.
  if (size == 0) size = FirstLine(held);
  if (size == block.size()) {
    out->swap(block);
    EndFirstBlock(stream);
  } else {
    out->assign(held.substr(0, size));
    stream.sent += size;
    if (stream.sent == block.size()) EndFirstBlock(stream);
  }
  stream.held_bytes -= size;
  credit_ -= static_cast<int64_t>(size);
}

void OutputRelay::EndFirstBlock(Stream& stream) {
  KeepForReuse(std::move(stream.blocks.front()));
  stream.blocks.pop_front();
  stream.sent = 0;
}

void OutputRelay::KeepForReuse(std::string&& block) {
  if (block.capacity() < kMessageBytes / 2 || spares_.size() >= kSparesMax) return;
  spares_.push_back(std::move(block));
  spares_.back().clear();
}

void OutputRelay::Finish(base::Duration timeout, std::function<void()> done) {
  seq_.AssertHeld();
  finished_ = std::move(done);
  give_up_ = loop_.After(timeout, [this] {
    DropHeld();
    credit_ = std::max<int64_t>(credit_, 1);  // for the news of it
    SendSome();
  });
  SendSome();
}

void OutputRelay::DropHeld() {
  for (Stream& stream : streams_) {
    for (const std::string& block : stream.blocks) {
      dropped_lines_ += process::CountLines(std::string_view(block).substr(stream.sent));
      stream.sent = 0;
    }
    stream = {};
  }
}

void OutputRelay::CheckFinished() {
  const bool empty =
      streams_[0].held_bytes == 0 && streams_[1].held_bytes == 0 && dropped_lines_ == 0;
  if (!finished_ || !empty) return;
  // From the loop: whoever finishes is not called from within his call.
  give_up_ = loop_.After(base::Duration(0), [this] { std::exchange(finished_, {})(); });
}

}  // namespace lockstep::launcher
