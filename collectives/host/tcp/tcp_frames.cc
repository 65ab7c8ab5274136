// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/tcp/tcp_frames.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lockstep::collectives {
namespace {

struct WireBlamed {
  int32_t member;
  char call_site[kTcpCallSiteBytes];
};

struct WireError {
  uint32_t code;
  uint32_t failure_class;
  uint64_t op_seq;
  uint64_t from_seq;
  uint64_t count;
  int32_t root;
  uint8_t kind;
  uint8_t dtype;
  uint8_t reduction;
  uint8_t blamed_count;
  uint32_t message_bytes;
  uint32_t reserved;
};
static_assert(sizeof(WireError) == 48 && sizeof(WireBlamed) == 44 &&
              sizeof(WireError) + kTcpBlamedMax * sizeof(WireBlamed) + kErrorMessageBytesMax ==
                  kErrorBytesMax);

template <class T>
void Append(std::vector<std::byte>& out, const T& value) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof value);
}

/// Takes a T from the front; false when there is none.
template <class T>
bool Take(std::span<const std::byte>& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes = bytes.subspan(sizeof value);
  return true;
}

/// What a peer wrote goes to a terminal: printable, and no longer than its field.
std::string PrintableText(const char* text, size_t capacity) {
  std::string result(text, strnlen(text, capacity));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return result;
}

bool KnownCall(uint8_t kind, uint8_t dtype, uint8_t reduction) {
  return kind < kOpKindLimit && dtype < kDtypeLimit && reduction < kReductionLimit;
}

}  // namespace

base::Result<FrameHeader> ParseFrameHeader(std::span<const std::byte> bytes,
                                           const FrameSource& source, uint64_t bytes_max) {
  FrameHeader header;
  if (!Take(bytes, header)) return base::DataLossError("a frame has a header of 64 bytes");
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
    if (!Take(payload, entry.call) || entry.call.member != member ||
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

void ErrorRecord::SetOp(const Op& about, uint64_t seq) {
  op_seq = seq;
  // What others are told of it; its pointers say nothing to them.
  op.kind = about.kind;
  op.dtype = about.dtype;
  op.reduction = about.reduction;
  op.peer = about.peer;
  op.count = about.count;
}

std::vector<std::byte> EncodeError(const ErrorRecord& record) {
  const size_t blamed_count = std::min(record.blamed.size(), kTcpBlamedMax);
  const size_t message_bytes = std::min(record.message.size(), kErrorMessageBytesMax);
  std::vector<std::byte> out;
  Append(out, WireError{.code = static_cast<uint32_t>(record.code),
                        .failure_class = static_cast<uint32_t>(record.failure_class),
                        .op_seq = record.op_seq,
                        .from_seq = record.from_seq,
                        .count = record.op.count,
                        .root = record.op.peer,
                        .kind = static_cast<uint8_t>(record.op.kind),
                        .dtype = static_cast<uint8_t>(record.op.dtype),
                        .reduction = static_cast<uint8_t>(record.op.reduction),
                        .blamed_count = static_cast<uint8_t>(blamed_count),
                        .message_bytes = static_cast<uint32_t>(message_bytes),
                        .reserved = 0});
  for (size_t i = 0; i < blamed_count; ++i) {
    WireBlamed blamed{.member = record.blamed[i].member, .call_site = {}};
    const std::string& site = record.blamed[i].call_site;
    std::memcpy(blamed.call_site, site.data(), std::min(site.size(), kTcpCallSiteBytes - 1));
    Append(out, blamed);
  }
  const auto* const text = reinterpret_cast<const std::byte*>(record.message.data());
  out.insert(out.end(), text, text + message_bytes);
  return out;
}

base::Result<ErrorRecord> ParseError(std::span<const std::byte> payload, int size) {
  WireError wire;
  if (!Take(payload, wire) || wire.code == 0 ||
      wire.code > static_cast<uint32_t>(base::Code::kUnauthenticated) ||
      wire.failure_class > static_cast<uint32_t>(base::FailureClass::kAbortedByAgent) ||
      !KnownCall(wire.kind, wire.dtype, wire.reduction) || wire.blamed_count > kTcpBlamedMax ||
      wire.message_bytes > kErrorMessageBytesMax ||
      payload.size() != wire.blamed_count * sizeof(WireBlamed) + wire.message_bytes) {
    return base::DataLossError("a frame holds no error of this release");
  }
  ErrorRecord record;
  record.code = static_cast<base::Code>(wire.code);
  record.failure_class = static_cast<base::FailureClass>(wire.failure_class);
  record.op_seq = wire.op_seq;
  record.from_seq = wire.from_seq;
  record.op.kind = static_cast<OpKind>(wire.kind);
  record.op.dtype = static_cast<Dtype>(wire.dtype);
  record.op.reduction = static_cast<Reduction>(wire.reduction);
  record.op.peer = wire.root;
  record.op.count = wire.count;
  for (uint8_t i = 0; i < wire.blamed_count; ++i) {
    WireBlamed blamed;
    if (!Take(payload, blamed) || blamed.member < 0 || blamed.member >= size)
      return base::DataLossError("a frame blames a member that the group does not have");
    record.blamed.push_back(
        {blamed.member, PrintableText(blamed.call_site, kTcpCallSiteBytes - 1)});
  }
  record.message = PrintableText(reinterpret_cast<const char*>(payload.data()), payload.size());
  return record;
}

base::Status StatusOf(const ErrorRecord& record, base::GroupId group, base::Round epoch,
                      const std::function<base::Subject(int member)>& subject_of) {
  base::Status status = base::Status(record.code, record.message).WithClass(record.failure_class);
  for (const ErrorRecord::Blamed& blamed : record.blamed) {
    base::Subject subject = subject_of(blamed.member);
    subject.call_site = blamed.call_site;
    status = status.WithSubject(std::move(subject));
  }
  if (record.op_seq == 0) return status;
  const Op& op = record.op;
  return status.WithOp({.group = group,
                        .epoch = epoch,
                        .seq = base::OpSeq(record.op_seq),
                        .kind = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count)});
}

}  // namespace lockstep::collectives
