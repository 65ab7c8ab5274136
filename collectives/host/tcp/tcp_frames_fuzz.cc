// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <stdint.h>
#include <stdlib.h>

#include <cstring>
#include <span>

#include "collectives/engine/error_record.h"
#include "collectives/host/tcp/tcp_frames.h"
#include "collectives/host/tcp/tcp_handshake.h"

// The first byte chooses the parser; what it accepts keeps its promises.
namespace {

using namespace lockstep::
    collectives;  // NOLINT(google-build-using-namespace): a program of one file
namespace base = lockstep::base;

constexpr int kSize = 5;

void Frame(std::span<const std::byte> bytes) {
  // Whatever it says that it is of: the source is what it should be of, so that more is reached.
  FrameHeader claimed;
  if (bytes.size() < sizeof claimed) return;
  std::memcpy(&claimed, bytes.data(), sizeof claimed);
  const FrameSource source{base::GroupId(claimed.group), base::Round(claimed.epoch), claimed.from};
  const auto header = ParseFrameHeader(bytes.first(sizeof claimed), source, bytes.size());
  if (header.ok() && header->bytes > bytes.size()) ::abort();
  const FrameSource other{base::GroupId(~claimed.group), source.epoch, source.member};
  if (ParseFrameHeader(bytes.first(sizeof claimed), other, bytes.size()).ok()) ::abort();
}

void Calls(std::span<const std::byte> bytes, uint8_t choice) {
  const int first = choice % kSize;
  const size_t count = choice / kSize % (kSize + 2);
  const auto entries = ParseCallEntries(bytes, first, count, kSize);
  if (!entries.ok()) return;
  if (entries->size() != count) ::abort();
  for (const ParsedEntry& entry : *entries) {
    if (entry.call.member < 0 || entry.call.member >= kSize) ::abort();
    if (entry.payload.size() > kEntryPayloadBytesMax) ::abort();
    if (strnlen(entry.call.call_site, kTcpCallSiteBytes) == kTcpCallSiteBytes) ::abort();
  }
}

void Error(std::span<const std::byte> bytes) {
  const auto record = ParseError(bytes, kSize);
  if (!record.ok()) return;
  if (record->code == base::Code::kOk || record->blamed.size() > kNamedMembersMax) ::abort();
  const auto again = ParseError(EncodeError(*record), kSize);
  if (!again.ok() || again->message != record->message) ::abort();
}

void Handshake(std::span<const std::byte> bytes) {
  const auto hello = ParseHello(bytes.first(std::min(bytes.size(), sizeof(Hello))));
  if (hello.ok() && (hello->from < 0 || hello->to < 0)) ::abort();
  const AddressCard card;
  const HandshakeKey key{.key = "0123456789abcdef0123456789abcdef", .job = "j", .listener = card};
  // Nobody who lacks the key gets here with an answer.
  if (ParseAnswer(bytes.first(std::min(bytes.size(), sizeof(Answer))), key, Hello()).ok())
    ::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(2);
  switch (data[0] % 4) {
    case 0: Frame(bytes); break;
    case 1: Calls(bytes, data[1]); break;
    case 2: Error(bytes); break;
    case 3: Handshake(bytes); break;
  }
  return 0;
}
