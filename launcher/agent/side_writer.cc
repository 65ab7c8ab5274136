// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/side_writer.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "runtime/base/detached_thread.h"

namespace lockstep::launcher {

struct SideWriter::Shared {
  Shared(event::Loop& the_loop, OnTrouble the_on_trouble)
      : on_trouble(std::move(the_on_trouble)), loop(&the_loop) {}
  void End(const base::Status& written, const std::shared_ptr<Shared>& self);

  OnTrouble on_trouble;  // of the loop's thread; null once the writer is gone
  std::mutex mutex;
  std::condition_variable done;
  event::Loop* loop;  // guarded by mutex, as what follows; null once it is over
  bool is_busy = false;
};

void SideWriter::Shared::End(const base::Status& written, const std::shared_ptr<Shared>& self) {
  std::lock_guard lock(mutex);
  is_busy = false;
  done.notify_all();
  if (written.ok() || loop == nullptr) return;
  loop->Post([self, written] {
    if (self->on_trouble != nullptr) self->on_trouble(written);
  });
}

SideWriter::SideWriter(event::Loop& loop, OnTrouble on_trouble)
    : shared_(std::make_shared<Shared>(loop, std::move(on_trouble))) {}

SideWriter::~SideWriter() {
  (void)Await(kEndLimit);
  shared_->on_trouble = nullptr;
  std::lock_guard lock(shared_->mutex);
  shared_->loop = nullptr;
}

base::Status SideWriter::Start(Write write) {
  seq_.AssertHeld();
  {
    std::lock_guard lock(shared_->mutex);
    if (std::exchange(shared_->is_busy, true)) {
      return base::DeadlineExceededError(
          "write what was seen of the ranks: their file system has not taken what was written "
          "before, and this is dropped");
    }
  }
  if (base::StartDetachedThread("evidence",
                                [shared = shared_, write] { shared->End(write(), shared); }))
    return base::OkStatus();
  const base::Status written = write();
  std::lock_guard lock(shared_->mutex);
  shared_->is_busy = false;
  return written;
}

bool SideWriter::IsBusy() const {
  std::lock_guard lock(shared_->mutex);
  return shared_->is_busy;
}

bool SideWriter::Await(base::Duration at_most) const {
  std::unique_lock lock(shared_->mutex);
  return shared_->done.wait_for(lock, at_most, [this] { return !shared_->is_busy; });
}

}  // namespace lockstep::launcher
