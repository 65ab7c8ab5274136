// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_JOB_TOKEN_H_
#define LOCKSTEP_RUNTIME_NET_JOB_TOKEN_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/net/secret.h"

/// Membership of a job by a shared secret: a file of the same content on every node, for launches
/// in which the same line is started everywhere and nobody hands out certificates. Functions
/// without state: callable from any thread.
namespace lockstep::net {

inline constexpr size_t kTokenBytesMin = 16;
inline constexpr size_t kTokenBytesMax = 4096;

/// The file's bytes without the line ends at its end, which editors add. Blocks: reads one small
/// file. Errors: NotFound - no such file; InvalidArgument - no regular file, too short or too long;
/// PermissionDenied - not ours, or others may read or write it; each with the file and the cure.
base::Result<Secret> ReadTokenFile(const std::string& path);

/// A TLS 1.3 external pre-shared key.
struct JobKey {
  /// Sent in the clear; says nothing of the token, and names the job only to who knows its id.
  std::string identity;
  Secret key;
};

/// HKDF-SHA256 (RFC 5869) of the token, bound to the job: two jobs with one token do not let each
/// other's nodes in. Whoever pretends to be a node's peer learns enough to test guesses of the
/// token offline, so a token must be random, not a password. Neither argument may be empty.
JobKey DeriveJobKey(const Secret& token, std::string_view job_id);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_JOB_TOKEN_H_
