// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Any bytes as a card or a table of cards: what passes is the same when it is written and read
// again.
#include <cstdint>
#include <string>
#include <string_view>

#include "collectives/host/tcp/card_bytes.h"
#include "runtime/base/check.h"

namespace {

using lockstep::collectives::BytesOfCard;
using lockstep::collectives::ParseCard;
using lockstep::collectives::ParseCardTable;

void TakeCard(std::string_view bytes) {
  const auto card = ParseCard(bytes);
  if (!card.ok()) return;
  const std::string written = BytesOfCard(*card);
  const auto again = ParseCard(written);
  LOCKSTEP_CHECK(again.ok(), "what was written can be read");
  LOCKSTEP_CHECK(BytesOfCard(*again) == written, "and is the same");
}

}  // namespace

/// The first byte: 0 = a card, else a table of so many.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 0) {
    TakeCard(bytes);
    return 0;
  }
  const auto table = ParseCardTable(bytes, data[0]);
  LOCKSTEP_CHECK(!table.ok() || table->size() == data[0], "a table has a place for each member");
  return 0;
}
