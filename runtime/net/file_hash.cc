// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/file_hash.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "runtime/base/check.h"
#include "runtime/base/errno_status.h"
#include "runtime/net/openssl.h"

namespace lockstep::net {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;

std::string Hexadecimal(const unsigned char* bytes, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

}  // namespace

base::Result<std::string> Sha256OfFile(int fd, const std::string& name) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return base::ErrnoStatus(errno, "look at " + name);
  if (!S_ISREG(status.st_mode)) {
    return base::InvalidArgumentError("hash " + name + ": it is no regular file");
  }
  InitOpenSsl();
  const OpenSslPtr<EVP_MD_CTX> context(::EVP_MD_CTX_new());
  LOCKSTEP_CHECK(::EVP_DigestInit_ex(context.get(), ::EVP_sha256(), nullptr) == 1,
                 "SHA-256 is always there");
  const auto buffer = std::make_unique_for_overwrite<char[]>(kBufferBytes);
  for (off_t offset = 0;;) {
    const ssize_t size = ::pread(fd, buffer.get(), kBufferBytes, offset);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::ErrnoStatus(errno, "read " + name);
    if (size == 0) break;
    LOCKSTEP_CHECK(::EVP_DigestUpdate(context.get(), buffer.get(), static_cast<size_t>(size)) == 1,
                   "hashing needs nothing that can fail");
    offset += size;
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  LOCKSTEP_CHECK(::EVP_DigestFinal_ex(context.get(), digest, &size) == 1,
                 "hashing needs nothing that can fail");
  return Hexadecimal(digest, size);
}

}  // namespace lockstep::net
