// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/log_file.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 10;

/// Takes a number off the front of the text; nullopt when there is none.
std::optional<int32_t> TakeNumber(std::string_view* text) {
  int32_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return number;
}

}  // namespace

std::optional<ParsedLogName> ParseLogFileName(std::string_view name) {
  constexpr std::string_view kPrefix = "rank-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const std::optional<int32_t> rank = TakeNumber(&name);
  const bool is_stderr = name.starts_with(".stderr");
  if (!rank || !(is_stderr || name.starts_with(".stdout"))) return std::nullopt;
  name.remove_prefix(std::string_view(".stdout").size());
  ParsedLogName parsed{.name = {.rank = base::Rank(*rank), .is_stderr = is_stderr}};
  if (name.empty()) return parsed;
  if (!name.starts_with('.')) return std::nullopt;
  name.remove_prefix(1);
  const std::optional<int32_t> number = TakeNumber(&name);
  if (!number || *number < 1 || !name.empty()) return std::nullopt;
  parsed.number = *number;
  return parsed;
}

LogFile::LogFile(std::string path, std::FILE* sink, std::FILE* notes,
                 std::optional<std::string> prefix)
    : path_(std::move(path)), sink_(sink), notes_(notes) {
  if (prefix) lines_.emplace(*std::move(prefix));
}

void LogFile::NoteNumber(int number) { highest_number_ = std::max(highest_number_, number); }

base::Status LogFile::SkipToTail(uint64_t lines) {
  ASSIGN_OR_RETURN(const std::vector<LogPiece> pieces, OpenLogPieces(path_, highest_number_));
  if (pieces.empty()) return base::OkStatus();
  const LogPosition tail = FindTail(pieces, lines);
  current_ = pieces[tail.piece].identity;
  offset_ = tail.offset;
  return base::OkStatus();
}

base::Status LogFile::PrintNew() {
  ASSIGN_OR_RETURN(const std::optional<LogPiece> growing, OpenLogPiece(path_));
  // It may have been rotated away; or the name is missing for the instant between two calls of
  // that.
  if (!growing || growing->identity != current_) return PrintPieces();
  // Less than there was: somebody has emptied it.
  if (growing->bytes < offset_) offset_ = 0;
  if (growing->bytes == offset_) return base::OkStatus();
  return PrintFrom(growing->fd.get(), &offset_);
}

base::Status LogFile::PrintPieces() {
  ASSIGN_OR_RETURN(const std::vector<LogPiece> pieces, OpenLogPieces(path_, highest_number_));
  auto piece = std::find_if(pieces.begin(), pieces.end(),
                            [this](const LogPiece& one) { return one.identity == current_; });
  if (piece == pieces.end()) {
    if (current_ && !pieces.empty()) {
      std::fprintf(notes_, "lockstep: a part of %s was removed before it could be shown\n",
                   path_.c_str());
    }
    piece = pieces.begin();
    offset_ = 0;
  }
  for (; piece != pieces.end(); ++piece) {
    if (piece->identity != current_) offset_ = 0;
    current_ = piece->identity;
    RETURN_IF_ERROR(PrintFrom(piece->fd.get(), &offset_));
  }
  return base::OkStatus();
}

base::Status LogFile::PrintFrom(int fd, uint64_t* offset) {
  std::string block(kBlockBytes, '\0');
  while (true) {
    const ssize_t count = ::pread(fd, block.data(), block.size(), static_cast<off_t>(*offset));
    if (count < 0) return base::ErrnoStatus(errno, "read " + path_);
    if (count == 0) return base::OkStatus();
    *offset += static_cast<uint64_t>(count);
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
