// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/process/rotating_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/process/rotated_name.h"
#include "runtime/process/write_all.h"

namespace lockstep::process {

RotatingFile::RotatingFile(std::string path, FileLimits limits, Deps deps)
    : path_(std::move(path)), limits_(limits), deps_(std::move(deps)) {}

base::Status RotatingFile::Write(std::string_view bytes) {
  if (folder_ == nullptr && deps_.budget != nullptr) folder_ = &deps_.budget->Enter(path_);
  while (!bytes.empty()) {
    if (folder_ != nullptr && folder_->closed) {
      deps_.budget->CountUnwritten(bytes.size());
      fd_.reset();
      return base::OkStatus();
    }
    if (!fd_.valid()) RETURN_IF_ERROR(Open());
    const size_t fits = FitsNow(bytes);
    if (fits == 0) {
      Rotate();
      continue;
    }
    const size_t admitted =
        folder_ == nullptr ? fits : deps_.budget->Admit(*folder_, bytes.substr(0, fits));
    RETURN_IF_ERROR(WritePiece(bytes.substr(0, admitted)));
    bytes.remove_prefix(admitted);
  }
  return base::OkStatus();
}

base::Status RotatingFile::Open() {
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd_.valid()) return base::ErrnoStatus(errno, "open " + path_);
  if (limits_.file_bytes_max == 0) return base::OkStatus();
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) return base::ErrnoStatus(errno, "look at " + path_);
  size_ = static_cast<uint64_t>(info.st_size);
  begun_at_ = 0;
  return base::OkStatus();
}

base::Status RotatingFile::WritePiece(std::string_view piece) {
  if (piece.empty()) return base::OkStatus();
  const int error = WriteAll(fd_.get(), piece);
  if (error != 0) return base::ErrnoStatus(error, "write " + path_);
  size_ += piece.size();
  at_line_begin_ = piece.back() == '\n';
  return base::OkStatus();
}

/// How many of the bytes go into the file as it is; 0: it is to be rotated first.
size_t RotatingFile::FitsNow(std::string_view bytes) const {
  const uint64_t size_max = begun_at_ + limits_.file_bytes_max;
  if (limits_.file_bytes_max == 0 || size_ + bytes.size() <= size_max) return bytes.size();
  const uint64_t room = size_max - std::min(size_max, size_);
  if (const size_t whole_lines = PastLastNewline(bytes.substr(0, room)); whole_lines > 0) {
    return whole_lines;
  }
  if (at_line_begin_ && size_ > begun_at_) return 0;
  // The rest of a line that has begun here, or one that fits into no file.
  const uint64_t most = size_max + kLineBytesMax - std::min(size_max + kLineBytesMax, size_);
  const std::string_view line = bytes.substr(0, most);
  const void* newline = line.empty() ? nullptr : std::memchr(line.data(), '\n', line.size());
  if (newline == nullptr) return line.size();
  return static_cast<size_t>(static_cast<const char*>(newline) - line.data()) + 1;
}

void RotatingFile::Rotate() {
  base::Status renamed;
  RotationLedger::Stream unread;
  if (deps_.ledger != nullptr) {
    deps_.ledger->Change(path_,
                         [&](RotationLedger::Stream& stream) { renamed = RenameAll(stream); });
  } else {
    renamed = RenameAll(unread);
  }
  if (renamed.ok()) {
    fd_.reset();
    return;
  }
  begun_at_ = size_;
  deps_.on_notice({.kind = FileNotice::Kind::kNotRotated, .path = path_, .why = renamed});
}

base::Status RotatingFile::RenameAll(RotationLedger::Stream& stream) {
  uint64_t given_up_bytes = 0;
  const std::string oldest = RotatedName(path_, limits_.old_files_max);
  struct stat info{};
  if (::stat(oldest.c_str(), &info) == 0) given_up_bytes = static_cast<uint64_t>(info.st_size);
  for (int number = limits_.old_files_max - 1; number >= 0; --number) {
    const std::string from = RotatedName(path_, number);
    const std::string to = RotatedName(path_, number + 1);
    if (::rename(from.c_str(), to.c_str()) == 0) {
      if (number + 1 == limits_.old_files_max) GiveUp(given_up_bytes, stream);
    } else if (errno != ENOENT) {
      return base::ErrnoStatus(errno, "rename " + from + " to " + to);
    } else if (number == 0) {
      GiveUp(size_, stream);  // somebody has taken it away
    }
  }
  stream.rotated_bytes += size_;
  ++stream.rotations;
  return base::OkStatus();
}

void RotatingFile::GiveUp(uint64_t bytes, RotationLedger::Stream& stream) {
  if (deps_.budget != nullptr) deps_.budget->Release(bytes);
  stream.given_up_bytes += bytes;
}

}  // namespace lockstep::process
