// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/metrics_file.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "runtime/base/detached_thread.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kBytesMax = size_t{64} << 20;  // of a text: far more than any job has
constexpr base::Duration kRemoveLimit = std::chrono::seconds(1);
constexpr std::string_view kBeginOfText = "# HELP lockstep_";

/// The collector takes what ends with .prom, and nothing else.
std::string TemporaryPath(const std::string& path, const std::string& job_id) {
  return path + "." + job_id + ".tmp";
}

/// As MetricsText has it in the series that each job has.
std::string MarkOf(const std::string& job_id) {
  return "\nlockstep_job_info{job=\"" + job_id + "\",";
}

/// FailedPrecondition when a file is there that is somebody's, and not a job's metrics.
base::Status CheckReplaceable(const std::string& path, storage::FileSystem& files) {
  const base::Result<std::string> text = storage::ReadText(files, path, kBytesMax);
  if (text.ok() ? text->starts_with(kBeginOfText) : text.status().code() == base::Code::kNotFound)
    return base::OkStatus();
  const bool is_other = text.ok() || text.status().code() == base::Code::kInvalidArgument ||
                        text.status().code() == base::Code::kResourceExhausted;
  if (!is_other) return text.status();
  return base::FailedPreconditionError(
      "it is there, and not the metrics of a job; remove it, or give --metrics-file another name");
}

}  // namespace

struct MetricsFile::Shared {
  Shared(std::string the_path, std::string the_job_id, storage::FileSystem& the_files)
      : path(std::move(the_path)), job_id(std::move(the_job_id)), files(the_files) {}
  base::Status Replace(std::string_view text);
  void Run();
  bool IsOver() {
    std::lock_guard lock(mutex);
    return is_over;
  }

  const std::string path;
  const std::string job_id;
  storage::FileSystem& files;

  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  std::optional<std::string> text;  // guarded by mutex, as what follows: to be written
  bool removes = false;             // it is to be removed
  bool is_busy = false;             // with one of them
  bool is_over = false;             // nobody is interested any more
  base::Status trouble;             // of the last writing
};

base::Status MetricsFile::Shared::Replace(std::string_view new_text) {
  const std::string new_path = TemporaryPath(path, job_id);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(new_text));
  base::Status written = files.WriteFile(new_path, {&bytes, 1}, {.mode = 0644});
  if (written.ok() && IsOver()) written = base::CancelledError("the job is over");
  if (written.ok()) written = files.Rename(new_path, path);
  if (!written.ok()) (void)files.RemoveFile(new_path);
  return written.WithFrame("write the metrics file " + path);
}

void MetricsFile::Shared::Run() {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return is_over || removes || text.has_value(); });
    if (is_over) return;
    const std::optional<std::string> new_text = std::exchange(text, std::nullopt);
    is_busy = true;
    lock.unlock();
    const base::Status written = new_text.has_value() ? Replace(*new_text) : base::OkStatus();
    // A file that tells of long ago is worse than none.
    if (!new_text.has_value() || !written.ok()) RemoveMetricsOf(job_id, path, files);
    lock.lock();
    is_busy = false;
    if (!new_text.has_value()) removes = false;
    if (!written.ok()) trouble = written;
    done.notify_all();
  }
}

MetricsFile::MetricsFile(std::string path, std::string job_id, storage::FileSystem& files)
    : shared_(std::make_shared<Shared>(std::move(path), std::move(job_id), files)) {}

MetricsFile::~MetricsFile() {
  Remove();
  (void)Await(kRemoveLimit);
  std::lock_guard lock(shared_->mutex);
  shared_->is_over = true;
  shared_->wake.notify_one();
}

base::Status MetricsFile::Open(std::string_view text) {
  const std::string frame = "write the metrics file " + shared_->path;
  if (const base::Status check = CheckReplaceable(shared_->path, shared_->files); !check.ok())
    return check.WithFrame(frame);
  is_open_ = true;
  return shared_->Replace(text);
}

base::Status MetricsFile::Write(std::string text) {
  if (!is_open_) return base::OkStatus();
  if (!EnsureThread())
    return base::ResourceExhaustedError("write the metrics file " + shared_->path +
                                        ": no thread could be made (ulimit -u)");
  std::lock_guard lock(shared_->mutex);
  if (shared_->is_busy || shared_->text.has_value())
    return base::DeadlineExceededError("write the metrics file " + shared_->path +
                                       ": its file system has not taken the last ones yet");
  shared_->text = std::move(text);
  shared_->wake.notify_one();
  return std::exchange(shared_->trouble, base::OkStatus());
}

void MetricsFile::Remove() {
  if (!std::exchange(is_open_, false)) return;
  if (!EnsureThread()) return RemoveMetricsOf(shared_->job_id, shared_->path, shared_->files);
  std::lock_guard lock(shared_->mutex);
  shared_->text.reset();
  shared_->removes = true;
  shared_->wake.notify_one();
}

bool MetricsFile::Await(base::Duration at_most) {
  std::unique_lock lock(shared_->mutex);
  return shared_->done.wait_for(lock, at_most, [this] {
    return !shared_->is_busy && !shared_->removes && !shared_->text.has_value();
  });
}

bool MetricsFile::EnsureThread() {
  if (!has_thread_)
    has_thread_ = base::StartDetachedThread("metrics", [shared = shared_] { shared->Run(); });
  return has_thread_;
}

void RemoveMetricsOf(const std::string& job_id, const std::string& path,
                     storage::FileSystem& files) {
  (void)files.RemoveFile(TemporaryPath(path, job_id));
  const base::Result<std::string> text = storage::ReadText(files, path, kBytesMax);
  if (text.ok() && text->starts_with(kBeginOfText) &&
      text->find(MarkOf(job_id)) != std::string::npos)
    (void)files.RemoveFile(path);
}

}  // namespace lockstep::launcher
