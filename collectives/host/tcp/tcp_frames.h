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
///   kError  := FrameHeader, ErrorRecord (error_record.h)  the sender's first error
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

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

inline constexpr uint32_t kFrameMagic = 0x4654'4b4c;  // "LKTF"
inline constexpr uint8_t kFrameVersion = 1;
inline constexpr int kMaxTcpMembers = 1024;
inline constexpr size_t kTcpCallSiteBytes = 40;
/// Inputs up to here in all go with the exchange of calls, and every member gets all of them.
inline constexpr size_t kSmallOpBytes = size_t{64} << 10;
/// Of one entry: a small input, or the counts of an all_to_all_v.
inline constexpr size_t kEntryPayloadBytesMax = kSmallOpBytes;

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

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_TCP_TCP_FRAMES_H_
