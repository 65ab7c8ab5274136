// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/stream_copy.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lockstep::collectives {

#if defined(__x86_64__)

namespace {

constexpr size_t kLine = 64;

// Whole lines, to an address that is aligned to them.
void StreamLinesSse2(std::byte* to, const std::byte* from, size_t lines) {
  for (; lines > 0; --lines, to += kLine, from += kLine) {
    for (size_t at = 0; at < kLine; at += 16) {
      _mm_stream_si128(reinterpret_cast<__m128i*>(to + at),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)));
    }
  }
}

__attribute__((target("avx512f"))) void StreamLinesAvx512(std::byte* to, const std::byte* from,
                                                          size_t lines) {
  for (; lines > 0; --lines, to += kLine, from += kLine)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
}

}  // namespace

void StreamCopy(std::byte* to, const std::byte* from, size_t bytes) {
  static const bool has_avx512 = __builtin_cpu_supports("avx512f") != 0;
  const size_t head = std::min(bytes, (kLine - reinterpret_cast<uintptr_t>(to) % kLine) % kLine);
  std::memcpy(to, from, head);
  const size_t lines = (bytes - head) / kLine;
  (has_avx512 ? StreamLinesAvx512 : StreamLinesSse2)(to + head, from + head, lines);
  const size_t done = head + lines * kLine;
  std::memcpy(to + done, from + done, bytes - done);
}

void FenceStreamCopies() { _mm_sfence(); }

#else

void StreamCopy(std::byte* to, const std::byte* from, size_t bytes) {
  std::memcpy(to, from, bytes);
}
void FenceStreamCopies() {}

#endif

// Not sysconf(_SC_LEVEL3_CACHE_SIZE), which on AMD gives that of all sockets together (320 MiB for
// one of 32). A virtual machine of two processors is told of its host's (480 MiB), of which others
// have their shares: no processor has more than kShareOfOne to itself.
// (Of those that the machine has, not of those that this process may use: members take one way.)
size_t LastCacheBytes() {
  constexpr size_t kShareOfOne = size_t{16} << 20;
  static const size_t bytes = [] {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index3/size");
    size_t kibibytes = 0;
    char unit = 0;
    const size_t told =
        file >> kibibytes >> unit && unit == 'K' ? kibibytes << 10 : size_t{32} << 20;
    return std::min(
        told, kShareOfOne * static_cast<size_t>(std::max(::sysconf(_SC_NPROCESSORS_CONF), 1L)));
  }();
  return bytes;
}

}  // namespace lockstep::collectives
