// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/file_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

base::Result<FileReader::Piece> ReadPart(const FileReader::Part& part, size_t bytes_max) {
  FileReader::Piece piece;
  // Whatever a rank has put in the place of its file neither blocks us nor leads elsewhere.
  const base::UniqueFd fd(
      ::open(part.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY));
  if (!fd.valid() && errno == ENOENT) return piece;
  struct stat info{};
  if (!fd.valid() || ::fstat(fd.get(), &info) != 0) {
    return base::ErrnoStatus(errno, "open " + part.path);
  }
  if (!S_ISREG(info.st_mode)) {
    return base::FailedPreconditionError("read " + part.path + ": it is no regular file");
  }
  piece.file_bytes = static_cast<uint64_t>(info.st_size);
  if (part.offset >= piece.file_bytes) return piece;
  piece.content.resize(std::min<uint64_t>(bytes_max, piece.file_bytes - part.offset));
  const ssize_t count = TEMP_FAILURE_RETRY(::pread(
      fd.get(), piece.content.data(), piece.content.size(), static_cast<off_t>(part.offset)));
  if (count < 0) return base::ErrnoStatus(errno, "read " + part.path);
  piece.content.resize(static_cast<size_t>(count));
  return piece;
}

base::Result<std::vector<FileReader::Piece>> ReadParts(const std::vector<FileReader::Part>& parts,
                                                       size_t bytes_max) {
  std::vector<FileReader::Piece> pieces;
  for (const FileReader::Part& part : parts) {
    ASSIGN_OR_RETURN(FileReader::Piece piece, ReadPart(part, bytes_max));
    bytes_max -= piece.content.size();
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

}  // namespace

struct FileReader::Shared {
  struct Request {
    uint64_t id = 0;
    std::vector<Part> parts;
    size_t bytes_max = 0;
  };

  Shared(event::Loop& the_loop, FileReader& the_reader) : loop(&the_loop), reader(&the_reader) {}
  void Run(const std::shared_ptr<Shared>& self);

  std::mutex mutex;
  std::condition_variable wake;
  event::Loop* loop;          // guarded by mutex; null once the reader is gone
  FileReader* reader;         // of the loop's thread; null once it is gone
  std::deque<Request> queue;  // guarded by mutex
};

void FileReader::Shared::Run(const std::shared_ptr<Shared>& self) {
  ::pthread_setname_np(::pthread_self(), "log-reader");
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return loop == nullptr || !queue.empty(); });
    if (loop == nullptr) return;
    const Request request = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    const auto pieces = std::make_shared<base::Result<std::vector<Piece>>>(
        ReadParts(request.parts, request.bytes_max));
    lock.lock();
    if (loop == nullptr) return;
    loop->Post([shared = self, id = request.id, pieces] {
      if (shared->reader != nullptr) shared->reader->OnRead(id, std::move(*pieces));
    });
  }
}

FileReader::FileReader(event::Loop& loop)
    : loop_(loop), shared_(std::make_shared<Shared>(loop, *this)) {}

FileReader::~FileReader() {
  seq_.AssertHeld();
  std::lock_guard lock(shared_->mutex);
  shared_->loop = nullptr;
  shared_->reader = nullptr;
  shared_->queue.clear();
  shared_->wake.notify_one();
}

void FileReader::Read(std::vector<Part> parts, size_t bytes_max, Done done) {
  seq_.AssertHeld();
  const uint64_t id = next_id_++;
  const bool full = waiting_.size() >= kWaitingMax;
  waiting_[id] = std::move(done);
  base::Status refusal;
  if (full) {
    refusal = base::ResourceExhaustedError(std::to_string(kWaitingMax) +
                                           " reads of log files wait already; try again");
  } else if (!EnsureThread()) {
    refusal =
        base::ResourceExhaustedError("no thread could be made that reads log files (ulimit -u)");
  }
  if (!refusal.ok()) {
    return loop_.Post([shared = shared_, id, refusal] {
      if (shared->reader != nullptr) shared->reader->OnRead(id, refusal);
    });
  }
  std::lock_guard lock(shared_->mutex);
  shared_->queue.push_back({.id = id, .parts = std::move(parts), .bytes_max = bytes_max});
  shared_->wake.notify_one();
}

void FileReader::OnRead(uint64_t id, base::Result<std::vector<Piece>> pieces) {
  const Done done = std::move(waiting_.at(id));
  waiting_.erase(id);
  done(std::move(pieces));
}

bool FileReader::EnsureThread() {
  if (has_thread_) return true;
  // Signals are for other threads.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    // Not joined: who hangs in a file system cannot be called back.
    std::thread([shared = shared_] { shared->Run(shared); }).detach();
    has_thread_ = true;
  } catch (const std::system_error&) {
    has_thread_ = false;  // the user's processes are used up; the next request tries again
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return has_thread_;
}

}  // namespace lockstep::launcher
