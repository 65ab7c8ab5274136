// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/rank/checkpoint/crc32c.h"

#include <array>
#include <cstring>

namespace lockstep::rank {
namespace {

// 0x1edc6f41 with its bits reversed.
constexpr uint32_t kPolynomial = 0x82f63b78;

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t Sse42Crc32c(std::span<const std::byte> bytes,
                                                       uint32_t crc_before) {
  uint64_t crc = ~crc_before;
  while (bytes.size() >= sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    crc = __builtin_ia32_crc32di(crc, word);
    bytes = bytes.subspan(sizeof(word));
  }
  auto short_crc = static_cast<uint32_t>(crc);
  for (std::byte byte : bytes) {
    short_crc = __builtin_ia32_crc32qi(short_crc, static_cast<uint8_t>(byte));
  }
  return ~short_crc;
}
#endif

}  // namespace

uint32_t PortableCrc32c(std::span<const std::byte> bytes, uint32_t crc_before) {
  uint32_t crc = ~crc_before;
  for (std::byte byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint32_t>(byte)) & 0xff];
  }
  return ~crc;
}

uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t crc_before) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return Sse42Crc32c(bytes, crc_before);
#endif
  return PortableCrc32c(bytes, crc_before);
}

}  // namespace lockstep::rank
