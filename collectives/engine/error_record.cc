// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/engine/error_record.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "collectives/engine/member_bytes.h"

namespace lockstep::collectives {
namespace {

struct WireBlamed {
  int32_t member;
  char call_site[kErrorCallSiteBytes];
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
              sizeof(WireError) + kNamedMembersMax * sizeof(WireBlamed) + kErrorMessageBytesMax ==
                  kErrorBytesMax);

}  // namespace

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
  const size_t blamed_count = std::min(record.blamed.size(), kNamedMembersMax);
  const size_t message_bytes = std::min(record.message.size(), kErrorMessageBytesMax);
  std::vector<std::byte> out;
  AppendBytes(out, WireError{.code = static_cast<uint32_t>(record.code),
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
    std::memcpy(blamed.call_site, site.data(), std::min(site.size(), kErrorCallSiteBytes - 1));
    AppendBytes(out, blamed);
  }
  const auto* const text = reinterpret_cast<const std::byte*>(record.message.data());
  out.insert(out.end(), text, text + message_bytes);
  return out;
}

base::Result<ErrorRecord> ParseError(std::span<const std::byte> payload, int size) {
  WireError wire;
  if (!TakeBytes(payload, wire) || wire.code == 0 ||
      wire.code > static_cast<uint32_t>(base::Code::kUnauthenticated) ||
      wire.failure_class > static_cast<uint32_t>(base::FailureClass::kAbortedByAgent) ||
      !KnownCall(wire.kind, wire.dtype, wire.reduction) || wire.blamed_count > kNamedMembersMax ||
      wire.message_bytes > kErrorMessageBytesMax ||
      payload.size() != wire.blamed_count * sizeof(WireBlamed) + wire.message_bytes) {
    return base::DataLossError("these bytes are no error of this release");
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
    if (!TakeBytes(payload, blamed) || blamed.member < 0 || blamed.member >= size)
      return base::DataLossError("an error blames a member that the group does not have");
    record.blamed.push_back(
        {blamed.member, PrintableText(blamed.call_site, kErrorCallSiteBytes - 1)});
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
