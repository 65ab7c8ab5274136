// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes that a peer may send, on either side: checked without reading beyond them, and what
// passes keeps its promises.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "runtime/attach/attach_wire.h"
#include "runtime/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > LOCKSTEP_ATTACH_MAX_MESSAGE) return 0;
  // Of the received size (rounded up for alignment), so that the sanitizer sees a read far beyond
  // it.
  void* const bytes = std::aligned_alloc(16, size / 16 * 16 + 16);
  LOCKSTEP_CHECK(bytes != nullptr, "memory");
  std::memset(bytes, 0xee, size / 16 * 16 + 16);
  if (size > 0) std::memcpy(bytes, data, size);
  const auto* const message = static_cast<const lockstep_attach_message*>(bytes);
  for (const lockstep_attach_side side : {LOCKSTEP_ATTACH_FROM_RANK, LOCKSTEP_ATTACH_FROM_AGENT}) {
    const char* const wrong = lockstep_attach_check(message, size, side, 0);
    // An agreed version only narrows what passes.
    LOCKSTEP_CHECK(wrong == nullptr || lockstep_attach_check(message, size, side, 1) != nullptr,
                   "version");
    if (wrong != nullptr) continue;
    LOCKSTEP_CHECK(message->header.length == size, "length");
    if (message->header.type == LOCKSTEP_ATTACH_SEGMENT_REQUEST) {
      LOCKSTEP_CHECK(message->segment_request.member_index < message->segment_request.member_count,
                     "member");
    }
    if (message->header.type == LOCKSTEP_ATTACH_CARD) {
      LOCKSTEP_CHECK(message->card.card_bytes <= sizeof message->card.card, "card");
    }
    if (message->header.type == LOCKSTEP_ATTACH_WORLD) {
      LOCKSTEP_CHECK(std::strlen(message->world.host) < sizeof message->world.host, "host");
    }
  }
  std::free(bytes);
  return 0;
}
