// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/jobs/log_pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "runtime/base/errno_status.h"
#include "runtime/process/rotated_name.h"

namespace lockstep::launcher {
namespace {

constexpr size_t kBlockBytes = size_t{64} << 10;
/// Names without a file, in a row, after which there is none any more. One is missing for an
/// instant in each rotation, or for ever after a kill.
constexpr int kMissingMax = 2;
/// When rotations end while we look, we look again: after two of them a file that we have seen and
/// that was given up since would stand in a wrong place.
constexpr int kOpenTries = 100;

/// Goes back over the lines of one file.
class TailSeeker {
 public:
  explicit TailSeeker(uint64_t lines) : lines_left_(lines) {}

  /// Where in the file the tail begins; nullopt when it begins earlier. Files come from the last
  /// one on.
  std::optional<uint64_t> SeekIn(const LogPiece& piece) {
    for (uint64_t end = piece.bytes; end > 0;) {
      const size_t count = std::min<uint64_t>(end, block_.size());
      const uint64_t begin = end - count;
      if (::pread(piece.fd.get(), block_.data(), count, static_cast<off_t>(begin)) !=
          static_cast<ssize_t>(count)) {
        return 0;
      }
      for (size_t i = count; i-- > 0;) {
        const bool is_last_byte = std::exchange(at_very_end_, false);
        // The very last newline ends the last line.
        if (block_[i] != '\n' || is_last_byte) continue;
        if (--lines_left_ == 0) return begin + i + 1;
      }
      end = begin;
    }
    return std::nullopt;
  }

 private:
  std::string block_ = std::string(kBlockBytes, '\0');
  uint64_t lines_left_;
  bool at_very_end_ = true;
};

/// The file that grows; in the middle of a rotation, when there is none, the one that did.
base::Result<std::optional<LogPiece>> OpenYoungest(const std::string& path) {
  ASSIGN_OR_RETURN(std::optional<LogPiece> growing, OpenLogPiece(path));
  if (growing) return growing;
  return OpenLogPiece(process::RotatedName(path, 1));
}

/// The names are looked at from the growing file upwards, the way in which a rotation moves files:
/// so one that it moves meanwhile is seen twice at most, and where it is seen last is its place.
base::Result<std::vector<LogPiece>> OpenOnce(const std::string& path, int highest_number) {
  std::vector<LogPiece> pieces;  // the youngest first
  for (int number = 0, missing = 0; number <= highest_number || missing < kMissingMax; ++number) {
    ASSIGN_OR_RETURN(std::optional<LogPiece> piece,
                     OpenLogPiece(process::RotatedName(path, number)));
    missing = piece ? 0 : missing + 1;
    if (!piece) continue;
    std::erase_if(pieces, [&](const LogPiece& seen) { return seen.identity == piece->identity; });
    pieces.push_back(*std::move(piece));
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

}  // namespace

base::Result<std::optional<LogPiece>> OpenLogPiece(const std::string& path) {
  LogPiece piece;
  piece.fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY));
  if (!piece.fd.valid() && errno == ENOENT) return std::optional<LogPiece>();
  if (!piece.fd.valid()) return base::ErrnoStatus(errno, "open " + path);
  struct statx info{};
  if (::statx(piece.fd.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &info) != 0) {
    return base::ErrnoStatus(errno, "look at " + path);
  }
  if (!S_ISREG(info.stx_mode)) {
    return base::FailedPreconditionError("read " + path + ": it is no regular file");
  }
  piece.bytes = info.stx_size;
  piece.identity.device = makedev(info.stx_dev_major, info.stx_dev_minor);
  piece.identity.number = info.stx_ino;
  if ((info.stx_mask & STATX_BTIME) != 0) {
    piece.identity.born_ns = info.stx_btime.tv_sec * 1'000'000'000 + info.stx_btime.tv_nsec;
  }
  return std::optional(std::move(piece));
}

base::Result<std::vector<LogPiece>> OpenLogPieces(const std::string& path, int highest_number) {
  for (int i = 0; i < kOpenTries; ++i) {
    ASSIGN_OR_RETURN(const std::optional<LogPiece> before, OpenYoungest(path));
    ASSIGN_OR_RETURN(std::vector<LogPiece> pieces, OpenOnce(path, highest_number));
    ASSIGN_OR_RETURN(const std::optional<LogPiece> after, OpenYoungest(path));
    if (!after || (before && before->identity == after->identity)) return pieces;
  }
  return base::ResourceExhaustedError("read " + path +
                                      ": it is rotated faster than its files can be opened; " +
                                      "let them grow larger (spec.logs.maxFileBytes)");
}

LogPosition FindTail(std::span<const LogPiece> pieces, uint64_t lines) {
  if (pieces.empty()) return {};
  if (lines == 0) return {.piece = pieces.size() - 1, .offset = pieces.back().bytes};
  TailSeeker seeker(lines);
  for (size_t i = pieces.size(); i-- > 0;) {
    const std::optional<uint64_t> offset = seeker.SeekIn(pieces[i]);
    if (!offset) continue;
    return {.piece = i, .offset = *offset};
  }
  return {};
}

}  // namespace lockstep::launcher
