// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/output_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/process/output_budget.h"
#include "runtime/process/rotating_file.h"
#include "runtime/process/write_all.h"

namespace lockstep::process {
namespace {

/// Bytes are merged into the youngest block up to this: one write for many short lines. Blocks that
/// are reused have grown to it, and no further.
constexpr size_t kMergedBlockBytesMax = size_t{256} << 10;
/// Emptied blocks kept for reuse, so that a busy stream does not allocate: touching new memory
/// costs more than copying into it.
constexpr size_t kSpareBlocksMax = 8;
constexpr base::Duration kLastWritePatience = std::chrono::milliseconds(100);
constexpr base::Duration kThreadRetry = std::chrono::milliseconds(50);

}  // namespace

/// All that the thread touches. The loop's side and the thread each hold a share.
struct OutputWriter::Shared : std::enable_shared_from_this<OutputWriter::Shared> {
  struct Block {
    enum class Kind : uint8_t { kBytes, kOpen, kRemove, kFlush };
    Kind kind = Kind::kBytes;
    TargetId target;
    std::string bytes;           // kOpen: the path, when there is no fd
    base::UniqueFd fd;           // kOpen
    std::function<void()> done;  // kFlush
  };
  struct Target {
    base::UniqueFd fd;
    std::optional<RotatingFile> file;  // when there is no fd
    bool failed = false;
  };

  Shared(Options writer_options, Handlers callbacks, event::Loop& owner)
      : options(std::move(writer_options)), handlers(std::move(callbacks)), loop(owner) {
    if (options.files.total_bytes_max == 0) return;
    budget.emplace(options.files, options.ledger.get(),
                   [this](const FileNotice& notice) { Tell(notice); });
  }

  void Append(TargetId target, std::string_view bytes);
  void WakeLocked();
  void Run();
  base::Status Write(Target& target, std::string_view bytes);
  void Open(Block& block);
  void Tell(const FileNotice& notice);
  void Handle(Block& block);
  /// Runs `callback` on the loop unless the owner is gone by then.
  void PostToLoop(std::function<void()> callback);
  void PostLocked(std::function<void()> callback);

  const Options options;
  const Handlers handlers;
  event::Loop& loop;  // only touched under the mutex while not stopping

  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable ended_wake;
  // Guarded by mutex:
  std::deque<Block> queue;
  size_t queued_bytes = 0;  // with those of the block being written
  uint64_t unwritten_bytes = 0;
  std::deque<std::string> spares;
  bool waiting = false;  // the thread sleeps on `wake`
  bool space_wanted = false;
  bool stopping = false;
  bool ended = false;

  // The thread's own:
  std::optional<OutputBudget> budget;
  std::unordered_map<TargetId, Target> targets;
  bool refusal_told = false;
};

void OutputWriter::Shared::PostToLoop(std::function<void()> callback) {
  std::lock_guard lock(mutex);
  PostLocked(std::move(callback));
}

void OutputWriter::Shared::PostLocked(std::function<void()> callback) {
  if (stopping) return;
  loop.Post([self = shared_from_this(), callback = std::move(callback)] {
    // Read without the mutex: only the loop's own thread sets it.
    if (!self->stopping) callback();
  });
}

base::Status OutputWriter::Shared::Write(Target& target, std::string_view bytes) {
  if (target.file) return target.file->Write(bytes);
  const int error = WriteAll(target.fd.get(), bytes);
  return error == 0 ? base::OkStatus() : base::ErrnoStatus(error, "write the console");
}

void OutputWriter::Shared::Open(Block& block) {
  Target& target = targets[block.target];
  target.fd = std::move(block.fd);
  if (target.fd.valid()) return;
  target.file.emplace(
      std::move(block.bytes), options.files,
      RotatingFile::Deps{.budget = budget ? &*budget : nullptr,
                         .ledger = options.ledger.get(),
                         .on_notice = [this](const FileNotice& notice) { Tell(notice); }});
}

void OutputWriter::Shared::Tell(const FileNotice& notice) {
  // What one folder refuses it refuses for each of its files.
  const bool refusal = notice.kind == FileNotice::Kind::kNotRotated;
  if (refusal && std::exchange(refusal_told, true)) return;
  PostToLoop([this, notice] { handlers.on_file_notice(notice); });
}

void OutputWriter::Shared::Handle(Block& block) {
  switch (block.kind) {
    case Block::Kind::kOpen: Open(block); return;
    case Block::Kind::kRemove: targets.erase(block.target); return;
    case Block::Kind::kFlush: PostToLoop(std::move(block.done)); return;
    case Block::Kind::kBytes: break;
  }
  Target& target = targets[block.target];
  if (target.failed) return;
  const base::Status written = Write(target, block.bytes);
  if (written.ok()) return;
  target.failed = true;
  target.fd.reset();
  target.file.reset();
  PostToLoop([this, id = block.target, written] { handlers.on_failed(id, written); });
}

void OutputWriter::Shared::Append(TargetId target, std::string_view bytes) {
  queued_bytes += bytes.size();
  if (!queue.empty()) {
    Block& last = queue.back();
    if (last.kind == Block::Kind::kBytes && last.target == target &&
        last.bytes.size() + bytes.size() <= kMergedBlockBytesMax) {
      last.bytes.append(bytes);
      return;
    }
  }
  Block block{.target = target};
  if (!spares.empty()) {
    block.bytes = std::move(spares.back());
    spares.pop_back();
  }
  block.bytes.assign(bytes);
  queue.push_back(std::move(block));
}

void OutputWriter::Shared::WakeLocked() {
  if (waiting) wake.notify_one();
}

void OutputWriter::Shared::Run() {
  ::pthread_setname_np(::pthread_self(), options.name.substr(0, 15).c_str());
  std::unique_lock lock(mutex);
  while (true) {
    waiting = true;
    wake.wait(lock, [this] { return stopping || !queue.empty(); });
    waiting = false;
    if (stopping) break;
    Block block = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    Handle(block);
    const size_t size = block.kind == Block::Kind::kBytes ? block.bytes.size() : 0;
    block.bytes.clear();
    lock.lock();
    queued_bytes -= size;
    if (budget) unwritten_bytes = budget->unwritten_bytes();
    if (size > 0 && spares.size() < kSpareBlocksMax) spares.push_back(std::move(block.bytes));
    if (space_wanted && queued_bytes <= options.queue_bytes_max / 2) {
      space_wanted = false;
      PostLocked([this] { handlers.on_space(); });
    }
  }
  ended = true;
  ended_wake.notify_all();
}

OutputWriter::OutputWriter(Options options, Handlers handlers, event::Loop& loop)
    : shared_(std::make_shared<Shared>(std::move(options), std::move(handlers), loop)) {}

OutputWriter::~OutputWriter() {
  seq_.AssertHeld();
  std::unique_lock lock(shared_->mutex);
  shared_->stopping = true;
  if (!thread_.joinable()) return;
  shared_->queue.clear();
  shared_->wake.notify_one();
  const bool ended =
      shared_->ended_wake.wait_for(lock, kLastWritePatience, [this] { return shared_->ended; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

base::Result<OutputWriter::TargetId> OutputWriter::AddFd(int fd) {
  seq_.AssertHeld();
  base::UniqueFd duplicate(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!duplicate.valid())
    return base::ErrnoStatus(errno, "duplicate descriptor " + std::to_string(fd));
  return AddTarget(std::move(duplicate), "");
}

OutputWriter::TargetId OutputWriter::AddFile(std::string path) {
  seq_.AssertHeld();
  return AddTarget({}, std::move(path));
}

OutputWriter::TargetId OutputWriter::AddTarget(base::UniqueFd fd, std::string path) {
  const TargetId id = next_target_;
  ++next_target_;
  std::lock_guard lock(shared_->mutex);
  shared_->queue.push_back({.kind = Shared::Block::Kind::kOpen,
                            .target = id,
                            .bytes = std::move(path),
                            .fd = std::move(fd)});
  return id;
}

void OutputWriter::Append(TargetId target, std::string_view bytes) {
  seq_.AssertHeld();
  if (bytes.empty()) return;
  EnsureThread();
  std::lock_guard lock(shared_->mutex);
  shared_->Append(target, bytes);
  // Once for all that comes in this turn of the loop: waking a thread costs as much as writing a
  // small block.
  if (!shared_->waiting || wake_.active()) return;
  wake_ = shared_->loop.After(base::Duration(0), [this] { shared_->wake.notify_one(); });
}

void OutputWriter::Remove(TargetId target) {
  seq_.AssertHeld();
  std::lock_guard lock(shared_->mutex);
  shared_->queue.push_back({.kind = Shared::Block::Kind::kRemove, .target = target});
  shared_->WakeLocked();
}

void OutputWriter::Flush(std::function<void()> done) {
  seq_.AssertHeld();
  std::lock_guard lock(shared_->mutex);
  if (!thread_wanted_) {
    shared_->PostLocked(std::move(done));
    return;
  }
  shared_->queue.push_back({.kind = Shared::Block::Kind::kFlush, .done = std::move(done)});
  shared_->WakeLocked();
}

bool OutputWriter::full() {
  std::lock_guard lock(shared_->mutex);
  if (shared_->queued_bytes < shared_->options.queue_bytes_max) return false;
  shared_->space_wanted = true;
  return true;
}

size_t OutputWriter::queued_bytes() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->queued_bytes;
}

uint64_t OutputWriter::unwritten_bytes() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->unwritten_bytes;
}

void OutputWriter::EnsureThread() {
  if (thread_.joinable()) return;
  thread_wanted_ = true;
  // Signals are for other threads: SIGPIPE of a closed console becomes EPIPE, and the loop's
  // signals stay with the loop.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([shared = shared_] { shared->Run(); });
  } catch (const std::system_error&) {
    // The ranks have used up the limit on processes. What is queued waits; a full queue stops its
    // sources.
    thread_retry_ = shared_->loop.After(kThreadRetry, [this] {
      seq_.AssertHeld();
      EnsureThread();
    });
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace lockstep::process
