// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_frames.h"

#include <algorithm>
#include <cstring>

#include "collectives/engine/member_bytes.h"

namespace lockstep::collectives {

base::Result<FrameHeader> ParseFrameHeader(std::span<const std::byte> bytes,
                                           const FrameSource& source, uint64_t bytes_max) {
  FrameHeader header;
  if (!TakeBytes(bytes, header)) return base::DataLossError("a frame has a header of 64 bytes");
  if (header.magic != kFrameMagic || header.version != kFrameVersion ||
      static_cast<uint8_t>(header.kind) == 0 ||
      static_cast<uint8_t>(header.kind) >= kFrameKindLimit) {
    return base::DataLossError("what came is no frame of this release");
  }
  if (header.group != source.group.value() || header.epoch != source.epoch.value() ||
      header.from != source.member) {
    return base::FailedPreconditionError(
               "a frame came of member " + std::to_string(header.from) + " of group " +
               std::to_string(header.group) + " in epoch " + std::to_string(header.epoch) +
               " where member " + std::to_string(source.member) + " of group " +
               source.group.ToString() + " in epoch " + source.epoch.ToString() + " should speak")
        .WithClass(base::FailureClass::kUsage);
  }
  if (header.bytes > bytes_max) {
    return base::DataLossError("a frame announces " + std::to_string(header.bytes) +
                               " bytes, of at most " + std::to_string(bytes_max));
  }
  return header;
}

base::Result<std::vector<ParsedEntry>> ParseCallEntries(std::span<const std::byte> payload,
                                                        int first, size_t count, int size) {
  std::vector<ParsedEntry> entries;
  if (count > static_cast<size_t>(size)) return base::DataLossError("too many calls in a frame");
  entries.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    ParsedEntry entry;
    const int member = (first + static_cast<int>(i)) % size;
    if (!TakeBytes(payload, entry.call) || entry.call.member != member ||
        entry.call.payload_bytes > std::min(payload.size(), kEntryPayloadBytesMax) ||
        !KnownCall(entry.call.kind, entry.call.dtype, entry.call.reduction)) {
      return base::DataLossError("a frame of calls lacks that of member " + std::to_string(member));
    }
    const std::string site = PrintableText(entry.call.call_site, kTcpCallSiteBytes - 1);
    std::memset(entry.call.call_site, 0, kTcpCallSiteBytes);
    std::memcpy(entry.call.call_site, site.data(), site.size());
    entry.payload = payload.first(entry.call.payload_bytes);
    payload = payload.subspan(entry.call.payload_bytes);
    entries.push_back(entry);
  }
  if (!payload.empty()) return base::DataLossError("a frame of calls has bytes behind the last");
  return entries;
}

}  // namespace lockstep::collectives
