// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/stdin_forwarder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "runtime/base/errno_status.h"

namespace lockstep::process {
namespace {

constexpr size_t kBufferBytes = size_t{64} << 10;
constexpr unsigned kMemoryDevicesMajor = 1;  // /dev/null, zero, random ...: a read never waits

bool NeverBlocks(const struct stat& source) {
  return S_ISREG(source.st_mode) || S_ISDIR(source.st_mode) || S_ISBLK(source.st_mode) ||
         (S_ISCHR(source.st_mode) && major(source.st_rdev) == kMemoryDevicesMajor);
}

bool ReadableNow(int fd) {
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 0) == 1;
}

}  // namespace

base::Result<std::unique_ptr<StdinForwarder>> StdinForwarder::Create(int source_fd,
                                                                     event::Loop& loop) {
  struct stat source{};
  if (::fstat(source_fd, &source) != 0) {
    return base::ErrnoStatus(errno,
                             "look at descriptor " + std::to_string(source_fd) + " for --stdin");
  }
  const bool direct = NeverBlocks(source);
  base::UniqueFd own_source;
  if (!direct) {
    // An open file of our own, so that O_NONBLOCK is ours alone. Not possible for sockets, nor for
    // a terminal that belongs to another user (after su); then each read is made only when poll()
    // promises something.
    const std::string path = "/proc/self/fd/" + std::to_string(source_fd);
    own_source.reset(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  }
  return std::unique_ptr<StdinForwarder>(
      new StdinForwarder(source_fd, std::move(own_source), direct, loop));
}

StdinForwarder::StdinForwarder(int source_fd, base::UniqueFd own_source, bool direct,
                               event::Loop& loop)
    : loop_(loop), source_fd_(source_fd), own_source_(std::move(own_source)), direct_(direct) {}

StdinForwarder::~StdinForwarder() { seq_.AssertHeld(); }

base::Result<base::UniqueFd> StdinForwarder::Open() {
  seq_.AssertHeld();
  Close();
  if (direct_) {
    base::UniqueFd duplicate(::fcntl(source_fd_, F_DUPFD_CLOEXEC, 3));
    if (!duplicate.valid()) return base::ErrnoStatus(errno, "duplicate our standard input");
    return duplicate;
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return base::ErrnoStatus(errno, "make a pipe for a rank's standard input");
  base::UniqueFd child(ends[0]);
  sink_.reset(ends[1]);
  if (::fcntl(ends[1], F_SETFL, O_WRONLY | O_NONBLOCK) != 0)
    return base::ErrnoStatus(errno, "fcntl on a pipe");
  if (buffer_ == nullptr) buffer_ = std::make_unique_for_overwrite<char[]>(kBufferBytes);
  const int source = own_source_.valid() ? own_source_.get() : source_fd_;
  source_watch_ =
      loop_.Watch(source, {.readable = !paused_}, [this](event::Readiness) { ReadSome(); });
  sink_watch_ = loop_.Watch(sink_.get(), {}, [this](event::Readiness) { WriteSome(); });
  if (source_ended_ || begin_ < end_) WriteSome();
  return child;
}

void StdinForwarder::Close() {
  seq_.AssertHeld();
  source_watch_.reset();
  sink_watch_.reset();
  sink_.reset();
}

void StdinForwarder::SetPaused(bool paused) {
  seq_.AssertHeld();
  paused_ = paused;
  // With bytes left to write it does not read anyway.
  if (sink_.valid() && begin_ == end_) loop_.SetInterest(source_watch_, {.readable = !paused_});
}

void StdinForwarder::ReadSome() {
  seq_.AssertHeld();
  if (paused_) return;  // known to be readable before it was paused
  const int source = own_source_.valid() ? own_source_.get() : source_fd_;
  if (!own_source_.valid() && !ReadableNow(source)) return;
  const ssize_t count = ::read(source, buffer_.get(), kBufferBytes);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    source_ended_ = true;  // also when a terminal hangs up: there is nothing more to come
  } else {
    begin_ = 0;
    end_ = static_cast<size_t>(count);
  }
  WriteSome();
}

void StdinForwarder::WriteSome() {
  seq_.AssertHeld();
  while (begin_ < end_) {
    const ssize_t count = ::write(sink_.get(), buffer_.get() + begin_, end_ - begin_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      loop_.SetInterest(source_watch_, {});
      loop_.SetInterest(sink_watch_, {.writable = true});
      return;
    }
    if (count < 0) {  // the rank has closed its standard input; what it left unread is kept for its
                      // successor
      Close();
      return;
    }
    begin_ += static_cast<size_t>(count);
    bytes_forwarded_total_ += static_cast<uint64_t>(count);
  }
  if (source_ended_) {
    Close();
    return;
  }
  loop_.SetInterest(sink_watch_, {});
  loop_.SetInterest(source_watch_, {.readable = !paused_});
}

}  // namespace lockstep::process
