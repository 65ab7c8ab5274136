// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_SHIM_HASHING_H_
#define LOCKSTEP_COLLECTIVES_SHIM_HASHING_H_

#include <stdint.h>

static inline uint64_t shim_mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
  return hash ^ (hash >> 29);
}

static inline uint64_t shim_mix_text(uint64_t hash, const char* text) {
  for (; *text != '\0'; ++text) hash = shim_mix(hash, (unsigned char)*text);
  return hash;
}

#endif /* LOCKSTEP_COLLECTIVES_SHIM_HASHING_H_ */
