// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include <string>
#include <string_view>
#include <vector>

#include "runtime/net/frame.h"

// The first byte says in what pieces the rest arrives; whatever the pieces, the payloads are those
// of the whole stream, and the decoder never holds more than a frame.
namespace {

using lockstep::net::FrameDecoder;

constexpr size_t kLimit = 64;

std::vector<std::string> Decode(std::string_view bytes, size_t piece_bytes, bool* failed) {
  FrameDecoder decoder(kLimit);
  std::vector<std::string> payloads;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, piece_bytes);
    bytes.remove_prefix(piece.size());
    const auto status = decoder.Feed(piece, [&](std::string_view payload) {
      payloads.emplace_back(payload);
      return true;
    });
    if (!status.ok()) {
      *failed = true;
      break;
    }
    if (decoder.held_bytes() >= lockstep::net::kFrameHeaderBytes + kLimit) ::abort();
  }
  return payloads;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  bool whole_failed = false, pieces_failed = false;
  const auto whole = Decode(stream, stream.size() + 1, &whole_failed);
  const auto pieces = Decode(stream, 1 + data[0] % 16, &pieces_failed);
  if (whole != pieces || whole_failed != pieces_failed) ::abort();
  for (const std::string& payload : whole) {
    if (payload.size() > kLimit) ::abort();
  }
  return 0;
}
