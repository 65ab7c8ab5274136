// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/sip_hash.h"

#include <bit>
#include <cstddef>

namespace lockstep::base {
namespace {

uint64_t LittleEndian(const unsigned char* bytes, size_t count) {
  uint64_t word = 0;
  for (size_t i = 0; i < count; ++i) word |= uint64_t{bytes[i]} << (8 * i);
  return word;
}

struct State {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void Take(uint64_t word) {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t SipHash(const SipKey& key, std::string_view text) {
  const uint64_t k0 = LittleEndian(key.data(), 8);
  const uint64_t k1 = LittleEndian(key.data() + 8, 8);
  State state{.v0 = k0 ^ 0x736f6d6570736575u,
              .v1 = k1 ^ 0x646f72616e646f6du,
              .v2 = k0 ^ 0x6c7967656e657261u,
              .v3 = k1 ^ 0x7465646279746573u};
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) state.Take(LittleEndian(bytes + at, 8));
  state.Take(LittleEndian(bytes + at, text.size() - at) | uint64_t{text.size()} << 56);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace lockstep::base
