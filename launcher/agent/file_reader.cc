// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/file_reader.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "launcher/jobs/log_pieces.h"
#include "runtime/base/detached_thread.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

constexpr int kOpenTries = 8;  // of files that are rotated meanwhile

/// Files of one stream that follow each other, up to the one that grows.
struct OpenStream {
  uint64_t begin = 0;  // of the first file, in the stream
  uint64_t end = 0;
  std::vector<LogPiece> pieces;
};

/// Opens the file that grows, and the older ones when the offset lies in them.
base::Result<OpenStream> OpenFiles(const FileReader::Part& part,
                                   const process::RotationLedger& ledger) {
  for (int i = 0; i < kOpenTries; ++i) {
    OpenStream stream;
    const process::RotationLedger::Stream rotations = ledger.Find(part.path);
    if (part.offset < rotations.rotated_bytes) {
      ASSIGN_OR_RETURN(stream.pieces, OpenLogPieces(part.path, 0));
      stream.begin = rotations.given_up_bytes;
    } else {
      ASSIGN_OR_RETURN(std::optional<LogPiece> growing, OpenLogPiece(part.path));
      if (growing) stream.pieces.push_back(*std::move(growing));
      stream.begin = rotations.rotated_bytes;
    }
    stream.end = stream.begin;
    for (const LogPiece& piece : stream.pieces) stream.end += piece.bytes;
    if (ledger.Find(part.path) == rotations) return stream;
  }
  return base::ResourceExhaustedError("read " + part.path +
                                      ": it is rotated faster than it can be opened; try again");
}

/// Appends what the file has from `offset` on, as much as `bytes_max` lets it.
base::Status AppendFrom(const LogPiece& file, uint64_t offset, const std::string& path,
                        size_t bytes_max, std::string* content) {
  const size_t old_size = content->size();
  content->resize(old_size + std::min<uint64_t>(bytes_max - old_size, file.bytes - offset));
  const ssize_t count =
      TEMP_FAILURE_RETRY(::pread(file.fd.get(), content->data() + old_size,
                                 content->size() - old_size, static_cast<off_t>(offset)));
  if (count < 0) return base::ErrnoStatus(errno, "read " + path);
  content->resize(old_size + static_cast<size_t>(count));
  return base::OkStatus();
}

base::Result<FileReader::Piece> ReadPart(const FileReader::Part& part, size_t bytes_max,
                                         const process::RotationLedger& ledger) {
  ASSIGN_OR_RETURN(const OpenStream stream, OpenFiles(part, ledger));
  FileReader::Piece piece{
      .content = "", .offset = std::max(part.offset, stream.begin), .file_bytes = stream.end};
  uint64_t begin = stream.begin;
  for (const LogPiece& file : stream.pieces) {
    const uint64_t at = piece.offset + piece.content.size();
    if (piece.content.size() < bytes_max && at >= begin && at < begin + file.bytes) {
      RETURN_IF_ERROR(AppendFrom(file, at - begin, part.path, bytes_max, &piece.content));
    }
    begin += file.bytes;
  }
  return piece;
}

base::Result<std::vector<FileReader::Piece>> ReadParts(const std::vector<FileReader::Part>& parts,
                                                       size_t bytes_max,
                                                       const process::RotationLedger& ledger) {
  std::vector<FileReader::Piece> pieces;
  for (const FileReader::Part& part : parts) {
    ASSIGN_OR_RETURN(FileReader::Piece piece, ReadPart(part, bytes_max, ledger));
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

  Shared(std::shared_ptr<const process::RotationLedger> the_ledger, event::Loop& the_loop,
         FileReader& the_reader)
      : ledger(std::move(the_ledger)), loop(&the_loop), reader(&the_reader) {}
  void Run(const std::shared_ptr<Shared>& self);

  const std::shared_ptr<const process::RotationLedger> ledger;
  std::mutex mutex;
  std::condition_variable wake;
  event::Loop* loop;          // guarded by mutex; null once the reader is gone
  FileReader* reader;         // of the loop's thread; null once it is gone
  std::deque<Request> queue;  // guarded by mutex
};

void FileReader::Shared::Run(const std::shared_ptr<Shared>& self) {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return loop == nullptr || !queue.empty(); });
    if (loop == nullptr) return;
    const Request request = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    const auto pieces = std::make_shared<base::Result<std::vector<Piece>>>(
        ReadParts(request.parts, request.bytes_max, *ledger));
    lock.lock();
    if (loop == nullptr) return;
    loop->Post([shared = self, id = request.id, pieces] {
      if (shared->reader != nullptr) shared->reader->OnRead(id, std::move(*pieces));
    });
  }
}

FileReader::FileReader(std::shared_ptr<const process::RotationLedger> ledger, event::Loop& loop)
    : loop_(loop), shared_(std::make_shared<Shared>(std::move(ledger), loop, *this)) {}

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
  // Who hangs in a file system cannot be called back.
  if (!has_thread_) {
    has_thread_ =
        base::StartDetachedThread("log-reader", [shared = shared_] { shared->Run(shared); });
  }
  return has_thread_;
}

}  // namespace lockstep::launcher
