// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/exec/election_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <tuple>

#include "runtime/base/errno_status.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::launcher {
namespace {

/// As it is there; nullopt when there is none, or one that nobody can have written.
base::Result<std::optional<base::SipKey>> Read(const std::string& path) {
  const base::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid() && errno == ENOENT) return std::optional<base::SipKey>();
  if (!file.valid()) return base::ErrnoStatus(errno, "open " + path);
  char bytes[std::tuple_size_v<base::SipKey> + 1];
  const ssize_t count = ::read(file.get(), bytes, sizeof bytes);
  if (count < 0) return base::ErrnoStatus(errno, "read " + path);
  base::SipKey secret;
  if (static_cast<size_t>(count) != secret.size()) {
    (void)::unlink(path.c_str());  // a power loss may have left it
    return std::optional<base::SipKey>();
  }
  std::copy(bytes, bytes + secret.size(), secret.begin());
  return std::optional(secret);
}

base::Status WriteWhole(const std::string& path, const base::SipKey& secret) {
  const base::UniqueFd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return base::ErrnoStatus(errno, "make " + path);
  const ssize_t written = ::write(file.get(), secret.data(), secret.size());
  if (written == static_cast<ssize_t>(secret.size())) return base::OkStatus();
  return base::ErrnoStatus(written < 0 ? errno : ENOSPC, "write " + path);
}

/// OK too when somebody else is faster.
base::Status Make(const std::string& path) {
  base::SipKey secret;
  if (::getrandom(secret.data(), secret.size(), GRND_NONBLOCK) !=
      static_cast<ssize_t>(secret.size())) {
    return base::UnavailableError("make " + path + ": the kernel has no random numbers yet");
  }
  const std::string own = path + "." + std::to_string(::getpid());
  base::Status made = WriteWhole(own, secret);
  if (made.ok() && ::link(own.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    made = base::ErrnoStatus(errno, "link " + own + " to " + path);
  }
  (void)::unlink(own.c_str());
  return made;
}

}  // namespace

base::Result<base::SipKey> ElectionSecret(const std::string& folder) {
  const std::string path = folder + "/exec-secret";
  constexpr int kTries = 3;  // it may be damaged, once
  for (int i = 0; i < kTries; ++i) {
    ASSIGN_OR_RETURN(const std::optional<base::SipKey> secret, Read(path));
    if (secret) return *secret;
    RETURN_IF_ERROR(Make(path));
  }
  return base::UnavailableError("read " + path + ": somebody removes it again and again");
}

}  // namespace lockstep::launcher
