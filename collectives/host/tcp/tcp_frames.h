// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FRAMES_H_
#define LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FRAMES_H_

/// What passes between members of a group once a connection has been authenticated
/// (tcp_handshake.h): frames of a header and `bytes` of payload, numbers little endian.
///
///   stream  := frame*
///   kCalls  := FrameHeader, (CallEntry, payload)[count]   one round of the exchange of calls
///   kData   := FrameHeader, bytes                         an op's data, in the order of its plan
///   kTransfer := FrameHeader, bytes                       one send
///   kError  := FrameHeader, ErrorRecord                   the sender's first error
///   kQuery  := FrameHeader                                how far are you?
///   kState  := FrameHeader                                this far
///   kNotice := FrameHeader, bytes                         member 0's, from member to member
///   kNote   := FrameHeader, bytes                         the sender's, of op `seq`
///
/// Example, the first op of a group of two, all_reduce of one f32: each member sends one kCalls
/// frame of 64 + 80 + 4 bytes, with its own entry and its 4 bytes of input.
///
/// The other end is a member of the job, and may still be broken: what it says is parsed with
/// bounds. Functions without state: callable from any thread.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "collectives/engine/op.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

static_assert(std::endian::native == std::endian::little, "numbers go over the wire as they lie");

inline constexpr uint32_t kFrameMagic = 0x4654'4b4c;  // "LKTF"
inline constexpr uint8_t kFrameVersion = 1;
inline constexpr int kMaxTcpMembers = 1024;
inline constexpr size_t kTcpCallSiteBytes = 40;
/// Inputs up to here in all go with the exchange of calls, and every member gets all of them.
inline constexpr size_t kSmallOpBytes = size_t{64} << 10;
/// Of one entry: a small input, or the counts of an all_to_all_v.
inline constexpr size_t kEntryPayloadBytesMax = kSmallOpBytes;
inline constexpr size_t kErrorMessageBytesMax = 2000;
/// Members named with their call sites; further ones are left out.
inline constexpr size_t kTcpBlamedMax = 8;
/// Of a whole ErrorRecord.
inline constexpr size_t kErrorBytesMax =
    48 + kTcpBlamedMax * (4 + kTcpCallSiteBytes) + kErrorMessageBytesMax;

enum class FrameKind : uint8_t {
  kCalls = 1,
  kData = 2,
  kTransfer = 3,
  kError = 4,
  kQuery = 5,
  kState = 6,
  kNotice = 7,
  kNote = 8,
};
inline constexpr uint8_t kFrameKindLimit = 9;

struct FrameHeader {
  uint32_t magic = kFrameMagic;
  uint8_t version = kFrameVersion;
  FrameKind kind = FrameKind::kCalls;
  uint16_t flags = 0;  // kState: StateFlags
  uint64_t group = 0;
  uint32_t epoch = 0;
  int32_t from = 0;  // member
  uint64_t seq = 0;  // of the op; of the transfer in its pair; kState: of the last call
  // kCalls, kData: of the sender's call. kQuery: when it is asked, in ns by the clock of who asks;
  // kState: of the last question before it, 0 = there was none.
  uint64_t fingerprint = 0;
  uint64_t bytes = 0;    // of the payload
  uint64_t count = 0;    // kCalls: entries; kTransfer: elements; kState: ops that have ended
  uint32_t dtype = 0;    // kTransfer
  uint32_t late_ms = 0;  // kState: what is left of a long phase
};
static_assert(sizeof(FrameHeader) == 64);

enum StateFlags : uint16_t {
  kStateWaits = 1,   // for another member, in the op `seq`
  kStateLeft = 2,    // the group has ended there
  kStateFailed = 4,  // with an error, which is on its way
};

/// Whose frames a connection carries.
struct FrameSource {
  base::GroupId group;
  base::Round epoch;
  int member = 0;
};

/// `bytes` of a header (64). Errors: DataLoss - no frame of this protocol and version, or a payload
/// above `bytes_max`; FailedPrecondition - of another group, epoch or member.
base::Result<FrameHeader> ParseFrameHeader(std::span<const std::byte> bytes,
                                           const FrameSource& source, uint64_t bytes_max);

/// One member's call, as the others compare and explain it.
struct CallEntry {
  uint64_t fingerprint = 0;
  uint64_t count = 0;
  double scale = 1;
  int32_t root = -1;
  int32_t member = 0;
  uint8_t kind = 0;
  uint8_t dtype = 0;
  uint8_t reduction = 0;
  uint8_t link = 0;  // TcpLink::code() of the sender's way to another member
  uint32_t payload_bytes = 0;
  char call_site[kTcpCallSiteBytes] = {};
};
static_assert(sizeof(CallEntry) == 80);

/// An entry and its payload, which lies in the bytes it was parsed from.
struct ParsedEntry {
  CallEntry call;
  std::span<const std::byte> payload;
};

/// The payload of a kCalls frame: of members `first`, `first` + 1 ... (modulo `size`), `count` of
/// them. Errors: DataLoss - anything else.
base::Result<std::vector<ParsedEntry>> ParseCallEntries(std::span<const std::byte> payload,
                                                        int first, size_t count, int size);

/// A group's first error as all members tell it to each other.
struct ErrorRecord {
  struct Blamed {
    int member = 0;
    std::string call_site;
  };

  base::Code code = base::Code::kUnknown;
  base::FailureClass failure_class = base::FailureClass::kUnspecified;
  uint64_t op_seq = 0;         // 0 = no op
  uint64_t from_seq = 0;       // collectives before this one may still end well
  Op op;                       // kind, dtype, reduction, peer and count
  std::string message;         // kErrorMessageBytesMax are kept
  std::vector<Blamed> blamed;  // kTcpBlamedMax are kept

  /// That it ends `about`, collective `seq`.
  void SetOp(const Op& about, uint64_t seq);
};

std::vector<std::byte> EncodeError(const ErrorRecord& record);
/// Errors: DataLoss - no such record, in a group of `size`.
base::Result<ErrorRecord> ParseError(std::span<const std::byte> payload, int size);
/// The record as the error that every member of that group returns; `subject_of` knows a member.
base::Status StatusOf(const ErrorRecord& record, base::GroupId group, base::Round epoch,
                      const std::function<base::Subject(int member)>& subject_of);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FRAMES_H_
