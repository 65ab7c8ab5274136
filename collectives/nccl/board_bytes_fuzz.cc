// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes as what boards of several machines say: what passes is the same when it is written and
// read again.
#include <cstdint>
#include <string_view>

#include "collectives/nccl/board_bytes.h"
#include "runtime/base/check.h"

namespace {

using namespace lockstep::collectives;

template <class Parse, class Write>
void Take(std::string_view bytes, const Parse& parse, const Write& write) {
  const auto read = parse(bytes);
  if (!read.ok()) return;
  const auto again = parse(write(*read));
  LOCKSTEP_CHECK(again.ok(), "what was written can be read");
  LOCKSTEP_CHECK(write(*again) == write(*read), "and is the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Take(bytes, ParseInvitation, BytesOfInvitation);
  Take(bytes, ParseCallCard, BytesOfCallCard);
  return 0;
}
