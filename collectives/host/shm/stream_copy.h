// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_STREAM_COPY_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_STREAM_COPY_H_

#include <cstddef>

namespace lockstep::collectives {

/// memcpy past the caches: for results so large that they would only push out what is still needed,
/// and whose lines would be read before they are written. FenceStreamCopies() before others are
/// told of them.
void StreamCopy(std::byte* to, const std::byte* from, size_t bytes);
void FenceStreamCopies();

/// Of this machine's last level of caches, as far as its processors may have it; 32 MiB where the
/// system does not say.
size_t LastCacheBytes();

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_STREAM_COPY_H_
