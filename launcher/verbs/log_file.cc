// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 10;

/// An invalid descriptor when the file is not there (yet).
base::Result<base::UniqueFd> Open(const std::string& path) {
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() && errno != ENOENT) return base::ErrnoStatus(errno, "open " + path);
  return fd;
}

}  // namespace

std::optional<LogFileName> ParseLogFileName(std::string_view name) {
  constexpr std::string_view kPrefix = "rank-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int32_t rank = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), rank);
  if (error != std::errc() || rank < 0) return std::nullopt;
  name.remove_prefix(static_cast<size_t>(end - name.data()));
  if (name == ".stdout") return LogFileName{base::Rank(rank), false};
  if (name == ".stderr") return LogFileName{base::Rank(rank), true};
  return std::nullopt;
}

off_t TailOffset(int fd, off_t size, uint64_t lines) {
  if (lines == 0) return size;
  std::string block(kBlockBytes, '\0');
  uint64_t found = 0;
  for (off_t end = size; end > 0;) {
    const auto count = static_cast<size_t>(std::min<off_t>(end, kBlockBytes));
    const off_t begin = end - static_cast<off_t>(count);
    if (::pread(fd, block.data(), count, begin) != static_cast<ssize_t>(count)) return 0;
    for (size_t i = count; i-- > 0;) {
      const off_t at = begin + static_cast<off_t>(i);
      if (block[i] != '\n' || at == size - 1) continue;  // the last one ends the last line
      if (++found == lines) return at + 1;
    }
    end = begin;
  }
  return 0;
}

LogFile::LogFile(std::string path, std::FILE* sink, std::optional<std::string> prefix)
    : path_(std::move(path)), sink_(sink) {
  if (prefix) lines_.emplace(*std::move(prefix));
}

base::Status LogFile::SkipToTail(uint64_t lines) {
  ASSIGN_OR_RETURN(const base::UniqueFd fd, Open(path_));
  struct stat info{};
  if (fd.valid() && ::fstat(fd.get(), &info) == 0)
    offset_ = TailOffset(fd.get(), info.st_size, lines);
  return base::OkStatus();
}

base::Status LogFile::PrintNew() {
  struct stat info{};
  if (::stat(path_.c_str(), &info) == 0 && info.st_size <= offset_) return base::OkStatus();
  ASSIGN_OR_RETURN(const base::UniqueFd fd, Open(path_));
  if (!fd.valid()) return base::OkStatus();
  std::string block(kBlockBytes, '\0');
  while (true) {
    const ssize_t count = ::pread(fd.get(), block.data(), block.size(), offset_);
    if (count < 0) return base::ErrnoStatus(errno, "read " + path_);
    if (count == 0) return base::OkStatus();
    offset_ += count;
    RETURN_IF_ERROR(Print(std::string_view(block).substr(0, static_cast<size_t>(count))));
  }
}

base::Status LogFile::Print(std::string_view bytes) {
  if (!lines_) return Write(bytes);
  std::string text;
  lines_->Feed(bytes, &text);
  return Write(text);
}

base::Status LogFile::Finish() {
  std::string text;
  if (lines_) lines_->Finish(&text);
  return Write(text);
}

// Flushed, so that stdout and stderr keep their order and a follower sees each line as it comes.
base::Status LogFile::Write(std::string_view text) {
  if (text.empty()) return base::OkStatus();
  if (std::fwrite(text.data(), 1, text.size(), sink_) == text.size() && std::fflush(sink_) == 0) {
    return base::OkStatus();
  }
  return base::ErrnoStatus(errno, "print " + path_);
}

}  // namespace lockstep::launcher
