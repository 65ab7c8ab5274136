// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/errno_status.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace lockstep::base {
namespace {

/// The limit behind an error that strikes any call that opens something, and what raises it.
std::string DescriptorLimit(int error) {
  if (error == ENFILE)
    return "; the machine may open no more: raise it with: sysctl -w fs.file-max=NUMBER";
  rlimit limit{};
  if (error != EMFILE || ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return "";
  const std::string text = "; this process may have " + std::to_string(limit.rlim_cur) +
                           " descriptors (RLIMIT_NOFILE): raise it with: ";
  if (limit.rlim_cur < limit.rlim_max) return text + "ulimit -n " + std::to_string(limit.rlim_max);
  return text +
         "ulimit -n NUMBER, as root, for its hard limit is no higher (/etc/security/limits.conf, "
         "LimitNOFILE= of a systemd unit, --ulimit nofile= of a container)";
}

}  // namespace

Code CodeFromErrno(int error) {
  switch (error) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO: return Code::kNotFound;
    case EEXIST:
    case EADDRINUSE: return Code::kAlreadyExists;
    case EPERM:
    case EACCES:
    case EROFS: return Code::kPermissionDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENOEXEC:
    case E2BIG: return Code::kInvalidArgument;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case ENOBUFS: return Code::kResourceExhausted;
    case ETIMEDOUT: return Code::kDeadlineExceeded;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENOTCONN: return Code::kUnavailable;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT: return Code::kUnimplemented;
    case ECANCELED: return Code::kCancelled;
    case EIO: return Code::kDataLoss;
    case EBUSY:
    case ENOTEMPTY:
    case ETXTBSY: return Code::kFailedPrecondition;
    default: return Code::kUnknown;
  }
}

Status ErrnoStatus(int error, std::string_view what, std::source_location origin) {
  const char* description = strerrordesc_np(error);
  const char* name = strerrorname_np(error);
  std::string message(what);
  message += ": ";
  message += description != nullptr ? description : "unknown error";
  message += " (";
  message += name != nullptr ? name : std::to_string(error);
  message += ")";
  message += DescriptorLimit(error);
  return Status(CodeFromErrno(error), std::move(message), origin);
}

}  // namespace lockstep::base
