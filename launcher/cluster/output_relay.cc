// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/cluster/output_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr int kPipeBytes = 1 << 20;
/// What has been sent is moved out of the way by so much at a time: less would move the rest of a
/// full stream for each message.
constexpr size_t kRoomBytes = size_t{1} << 20;

}  // namespace

base::Result<std::unique_ptr<OutputRelay>> OutputRelay::Create(Send send, event::Loop& loop) {
  std::unique_ptr<OutputRelay> relay(new OutputRelay(std::move(send), loop));
  for (Stream& stream : relay->streams_) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "make a pipe for output");
    stream.read_end = base::UniqueFd(ends[0]);
    stream.write_end = base::UniqueFd(ends[1]);
    // Ours alone: the pump's thread may block in writing, and should.
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    (void)::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
    stream.watch =
        loop.Watch(ends[0], {.readable = true}, [raw = relay.get(), &stream](event::Readiness) {
          raw->ReadSome(stream);
          raw->SendSome();
        });
  }
  return relay;
}

void OutputRelay::ReadSome(Stream& stream) {
  seq_.AssertHeld();
  if (buffer_ == nullptr) buffer_ = std::make_unique<char[]>(kReadBytes);
  const ssize_t size = TEMP_FAILURE_RETRY(::read(stream.read_end.get(), buffer_.get(), kReadBytes));
  if (size > 0) Take(stream, {buffer_.get(), static_cast<size_t>(size)});
}

void OutputRelay::MakeRoom(Stream& stream) {
  if (stream.sent < kRoomBytes && stream.sent < stream.held.size()) return;
  stream.held.erase(0, stream.sent);
  stream.sent = 0;
}

void OutputRelay::Take(Stream& stream, std::string_view bytes) {
  MakeRoom(stream);
  const bool all_fit = !stream.dropping && stream.held.size() + bytes.size() <= kHeldBytes;
  if (all_fit) {
    stream.held += bytes;
    stream.within_line = bytes.back() != '\n';
    return;
  }
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size() - 1) + 1;
    const std::string_view piece = bytes.substr(0, end);
    bytes.remove_prefix(end);
    if (!stream.within_line) stream.dropping = stream.held.size() + piece.size() > kHeldBytes;
    if (!stream.dropping) stream.held += piece;
    stream.within_line = piece.back() != '\n';
    if (stream.dropping && !stream.within_line) {
      ++dropped_lines_;
      stream.dropping = false;
    }
  }
}

void OutputRelay::AddCredit(uint64_t bytes) {
  seq_.AssertHeld();
  // A coordinator that gives more than anybody can hold does not overflow us.
  credit_ = std::min<int64_t>(credit_ + static_cast<int64_t>(std::min<uint64_t>(bytes, 1 << 30)),
                              int64_t{1} << 40);
  SendSome();
}

void OutputRelay::SendSome() {
  while (credit_ > 0) {
    proto::Output output;
    for (size_t i = 0; i < streams_.size(); ++i) {
      Move(streams_[i],
           i == 0 ? output.mutable_standard_output() : output.mutable_standard_error());
    }
    if (output.standard_output().empty() && output.standard_error().empty() &&
        dropped_lines_ == 0) {
      break;
    }
    output.set_dropped_lines(std::exchange(dropped_lines_, 0));
    send_(output);
  }
  CheckFinished();
}

void OutputRelay::Move(Stream& stream, std::string* out) {
  const std::string_view held = std::string_view(stream.held).substr(stream.sent);
  if (credit_ <= 0 || held.empty()) return;
  const size_t limit = std::min(kMessageBytes, static_cast<size_t>(credit_));
  size_t size = held.size();
  if (size > limit) {
    const size_t before = held.rfind('\n', limit - 1);
    // A line that is longer than all that goes in whole.
    const size_t end = before != std::string_view::npos ? before : held.find('\n', limit);
    // One whose end has not come yet waits for it: the rest would come after another node's lines.
    size = end != std::string_view::npos ? end + 1 : finished_ != nullptr ? size : 0;
  } else if (stream.within_line && finished_ == nullptr) {
    size = held.rfind('\n') + 1;  // nothing: 0
  }
  out->assign(held, 0, size);
  stream.sent += size;
  MakeRoom(stream);
  credit_ -= static_cast<int64_t>(size);
}

void OutputRelay::Finish(base::Duration timeout, std::function<void()> done) {
  seq_.AssertHeld();
  finished_ = std::move(done);
  give_up_ = loop_.After(timeout, [this] {
    for (Stream& stream : streams_) {
      dropped_lines_ += static_cast<uint64_t>(std::count(
          stream.held.begin() + static_cast<ptrdiff_t>(stream.sent), stream.held.end(), '\n'));
      stream.held.clear();
      stream.sent = 0;
    }
    credit_ = std::max<int64_t>(credit_, 1);  // for the news of it
    SendSome();
  });
  for (Stream& stream : streams_) {
    stream.watch.reset();
    size_t before = 0;
    do {
      before = stream.held.size() + dropped_lines_;
      ReadSome(stream);
    } while (stream.held.size() + dropped_lines_ != before);
  }
  SendSome();
}

void OutputRelay::CheckFinished() {
  const bool empty = streams_[0].held.empty() && streams_[1].held.empty() && dropped_lines_ == 0;
  if (!finished_ || !empty) return;
  // From the loop: whoever finishes is not called from within his call.
  give_up_ = loop_.After(base::Duration(0), [this] { std::exchange(finished_, {})(); });
}

}  // namespace lockstep::launcher
