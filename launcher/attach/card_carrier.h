// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_CARD_CARRIER_H_
#define LOCKSTEP_LAUNCHER_ATTACH_CARD_CARRIER_H_

#include <cstdint>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/net/port_claim.h"
#include "runtime/net/secret.h"

namespace lockstep::launcher {

/// How ranks of one node are reached from other machines, in one round.
struct RankNetwork {
  base::Round round;           // in another one it is nobody's
  net::Secret key;             // of this job and round, 32 bytes
  net::PortRange ports{0, 0};  // to listen on one of these; {0, 0} = any
  std::string host_id;         // equal exactly for ranks of one machine
  std::string listen_address;  // numeric
  std::string address;         // by which others reach that, numeric; "" = the same
};

/// What a rank says to the other members of a group, on all machines.
struct MemberCard {
  uint64_t connection;  // of the AttachServer
  uint64_t group;
  int member_count;
  int member;
  std::string content;  // as ranks understand it
};

/// Who brings the cards of a node's ranks to those of the other nodes. Each card is answered by
/// AttachServer::AnswerCard, never from within a call, unless its connection ends before that.
/// Confined to the loop's thread.
class CardCarrier {
 public:
  virtual ~CardCarrier() = default;
  /// An error is the answer. Errors: AlreadyExists - another process has published this member;
  /// FailedPrecondition - members disagree about their number; ResourceExhausted - too many groups.
  virtual base::Status Publish(MemberCard card) = 0;
  /// The answer is to come at once, with whoever is there.
  virtual void GiveUp(uint64_t connection) = 0;
  /// The connection is gone, and its card with it.
  virtual void Forget(uint64_t connection) = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_CARD_CARRIER_H_
