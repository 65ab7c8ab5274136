// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_CONTROL_MESSAGE_H_
#define LOCKSTEP_COLLECTIVES_MPI_CONTROL_MESSAGE_H_

#include <algorithm>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>

#include "collectives/engine/member_names.h"
#include "collectives/engine/op.h"

namespace lockstep::collectives {

/// A group of one round, as ranks name it to each other.
struct MpiGroupKey {
  uint64_t group = 0;
  uint32_t epoch = 0;

  friend auto operator<=>(const MpiGroupKey&, const MpiGroupKey&) = default;
};

/// What ranks tell each other beside the data, over a communicator of the whole world that is used
/// for nothing else; messages of a pair of ranks keep their order. All ranks are of one release
/// (a receiver checks `layout`), and run on machines of one byte order, as everything else here.
///
///   making a group    kHere to every member; kReady to rank 0 of the world, which tells all
///                     members kGo when all are ready. Who gives up before tells it kWithdraw and
///                     hears kWithdrawn, unless kGo was on its way: then the group is made, and
///                     left
///   while it lives    kError: the first error of the sender, for ops from `seq` on
///                     kAsk, at a deadline, and kTell: how far are you?
///   its end           kLeft
struct ControlMessage {
  enum class Kind : uint32_t {
    kHere = 1,
    kReady,
    kWithdraw,
    kWithdrawn,
    kGo,
    kError,
    kAsk,
    kTell,
    kLeft,
  };

  uint32_t layout = sizeof(ControlMessage);
  Kind kind{};
  MpiGroupKey key;
  int32_t from = 0;        // group rank; of kGo and kWithdrawn the world's 0
  int32_t world_rank = 0;  // of the sender
  int32_t member_count = 0;
  int64_t pid = 0;     // kHere
  uint64_t seq = 0;    // kError: its first op; kTell: the last op begun; kLeft: the last one ended
  uint64_t sends = 0;  // kLeft: to this receiver, ended
  uint64_t receives = 0;  // kLeft: from this receiver, ended
  int64_t late_ns = 0;    // kTell: of a declared long phase that are left
  uint32_t code = 0;      // kError, as is the rest
  uint32_t failure_class = 0;
  uint64_t count = 0;
  int32_t root = -1;
  uint8_t op_kind = 0;  // 0 = about no op
  uint8_t dtype = 0;
  uint8_t reduction = 0;
  uint8_t blamed_count = 0;
  int32_t blamed[kNamedMembersMax] = {};
  char text[1024] = "";  // kHere: the host; kError: the message

  void SetText(const std::string& value) {
    const size_t length = std::min(value.size(), sizeof text - 1);
    std::memcpy(text, value.data(), length);
    text[length] = '\0';
  }
  std::string Text() const { return std::string(text, strnlen(text, sizeof text)); }
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_MPI_CONTROL_MESSAGE_H_
