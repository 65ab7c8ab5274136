// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/job_token.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"
#include "runtime/net/hkdf.h"

namespace lockstep::net {
namespace {

constexpr size_t kKeyBytes = 32;       // SHA-256's
constexpr size_t kIdentityBytes = 16;  // 32 hexadecimal digits

std::string MakeOneWith(const std::string& path) {
  return "; make one with: (umask 077; head -c 32 /dev/urandom | base64 > " + path + ")";
}

base::Status CheckIsPrivate(const std::string& path, const struct stat& status) {
  if (!S_ISREG(status.st_mode)) {
    return base::InvalidArgumentError("read token file " + path + ": it is no regular file" +
                                      MakeOneWith(path));
  }
  if (status.st_uid != ::geteuid()) {
    return base::PermissionDeniedError(
        "read token file " + path + ": it belongs to user " + std::to_string(status.st_uid) +
        ", and we are user " + std::to_string(::geteuid()) +
        ": who owns it could be let into the job; copy it to a file of your own");
  }
  if ((status.st_mode & 077) != 0) {
    char mode[8];
    (void)::snprintf(mode, sizeof(mode), "%04o", status.st_mode & 07777u);
    return base::PermissionDeniedError("read token file " + path + ": its mode is " + mode +
                                       ", so others can reach it; run: chmod 600 " + path);
  }
  return base::OkStatus();
}

/// How many bytes came, up to `size`.
base::Result<size_t> ReadUpTo(int fd, char* bytes, size_t size, const std::string& path) {
  size_t count = 0;
  while (count < size) {
    const ssize_t got = ::read(fd, bytes + count, size - count);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::ErrnoStatus(errno, "read token file " + path);
    count += static_cast<size_t>(got);
  }
  return count;
}

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

base::Result<Secret> ReadTokenFile(const std::string& path) {
  // Not blocking, so that a pipe in its place is refused and not waited for.
  const base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) {
    const int error = errno;
    const base::Status status = base::ErrnoStatus(error, "read token file " + path);
    if (error != ENOENT) return status;
    return base::NotFoundError(status.message() + MakeOneWith(path));
  }
  struct stat file{};
  if (::fstat(fd.get(), &file) != 0) return base::ErrnoStatus(errno, "read token file " + path);
  RETURN_IF_ERROR(CheckIsPrivate(path, file));

  char bytes[kTokenBytesMax + 2];  // room to see that it is too long
  const base::Result<size_t> read = ReadUpTo(fd.get(), bytes, sizeof(bytes), path);
  size_t size = read.ok() ? *read : 0;
  while (size > 0 && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r')) --size;
  Secret token(std::string_view(bytes, size));
  ::explicit_bzero(bytes, sizeof(bytes));
  if (!read.ok()) return read.status();
  if (size < kTokenBytesMin || *read > kTokenBytesMax) {
    return base::InvalidArgumentError("read token file " + path + ": it holds " +
                                      (size < kTokenBytesMin
                                           ? std::to_string(size)
                                           : "more than " + std::to_string(kTokenBytesMax)) +
                                      " bytes, and a token has " + std::to_string(kTokenBytesMin) +
                                      " to " + std::to_string(kTokenBytesMax) + MakeOneWith(path));
  }
  return token;
}

JobKey DeriveJobKey(const Secret& token, std::string_view job_id) {
  // The job id is the salt; the identity comes from it alone, so that it gives nothing to guess
  // with.
  LOCKSTEP_CHECK(!token.empty() && !job_id.empty(), "a job has an id, and ReadTokenFile a token");
  Secret key = HkdfSha256(token.view(), job_id, "lockstep agent psk 1", kKeyBytes);
  const std::string job = "job " + std::string(job_id);
  const Secret identity =
      HkdfSha256(job, "identity", "lockstep agent psk identity 1", kIdentityBytes);
  return {.identity = "lockstep-1-" + Hex(identity.view()), .key = std::move(key)};
}

}  // namespace lockstep::net
