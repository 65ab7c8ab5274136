// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_NET_FILE_HASH_H_
#define LOCKSTEP_RUNTIME_NET_FILE_HASH_H_

#include <string>

#include "runtime/base/result.h"

/// What tells two files on two machines apart. A function without state: callable from any thread.
namespace lockstep::net {

/// SHA-256 of everything in the regular file behind `fd`, in hexadecimal; its offset stays. `name`
/// is for messages. Blocks: reads it all, some 400 MB to 2 GB a second once it is in memory.
/// Errors: InvalidArgument - not a regular file; errno's code.
base::Result<std::string> Sha256OfFile(int fd, const std::string& name);

}  // namespace lockstep::net

#endif  // LOCKSTEP_RUNTIME_NET_FILE_HASH_H_
