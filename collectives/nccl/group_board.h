// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_GROUP_BOARD_H_
#define LOCKSTEP_COLLECTIVES_NCCL_GROUP_BOARD_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/engine/call_check.h"
#include "collectives/engine/error_record.h"
#include "collectives/nccl/nccl_abi.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// What the members of one NCCL group tell each other outside of NCCL, which itself says neither
/// who is missing nor who failed first: how to meet, how far each has called, who left, and the
/// first error. One in each member's end of a group. No call blocks; what others wrote arrives late
/// at worst, and some of it only once it is asked for (Knows). Thread-safe.
class GroupBoard {
 public:
  /// For the answers of members that are asked. Below what the contract gives beyond a deadline, of
  /// which the abort of a communicator wants half a second (NcclEngine::kGrace).
  static constexpr base::Duration kAnswerTime = std::chrono::milliseconds(350);

  /// How the members meet.
  struct Invitation {
    bool from_parent = false;  // by ncclCommShrink of the parent; else by `id`
    NcclUniqueId id{};
  };

  virtual ~GroupBoard() = default;

  /// By member 0, once.
  virtual void Invite(const Invitation& invitation) = 0;
  /// To be looked at again and again while it is waited for: where it may have been lost on its
  /// way, it is asked for.
  virtual std::optional<Invitation> invitation() = 0;
  /// Members that are known never to have opened the board: who does not answer may have.
  virtual std::vector<int> NeverCame() const = 0;
  /// Whether this end knows how `members`, others, were at `since` or later: an answer counts that
  /// was asked for since then. It asks them otherwise; once they have had kAnswerTime it knows that
  /// they do not answer. Of a large group it looks after some members alone, as others do after the
  /// rest.
  virtual bool Knows(const std::vector<int>& members, base::SteadyTime since) = 0;

  /// What this member calls as collective `seq`, for others to compare (check_calls); before it
  /// posts that it called it. The last kCardsKept of a member can be read, once they are here.
  virtual void PostCard(base::OpSeq seq, const CallCard& card) = 0;
  virtual std::optional<CallCard> Card(int member, base::OpSeq seq) const = 0;
  static constexpr size_t kCardsKept = 64;
  /// This member has called the ops up to `last`.
  virtual void PostCalled(base::OpSeq last) = 0;
  /// Empty: this end does not know.
  virtual std::optional<base::OpSeq> Called(int member) const = 0;
  /// This member may be late until then.
  virtual void PostLongPhase(base::SteadyTime until) = 0;
  virtual base::SteadyTime LongPhase(int member) const = 0;
  /// This member has dropped the group.
  virtual void Leave() = 0;
  virtual bool HasLeft(int member) const = 0;
  /// Of a member whose process cannot be reached any more: "closed its connection: its process has
  /// ended".
  std::optional<std::string> WhyLost(int member) const { return WhyLostSince(member, {}); }
  /// The same of one that could not be reached at `since` or later.
  virtual std::optional<std::string> WhyLostSince(int member, base::SteadyTime since) const = 0;
  /// Whether this member was asked (Knows) and does not answer, for longer than healthy ones take.
  virtual bool IsSilent(int member) const = 0;
  /// Of a member that trouble of this end's own keeps it from asking: "cannot be asked from here:
  /// no descriptor is left".
  virtual std::optional<std::string> WhyUnasked(int member) const = 0;
  /// Makes `error` the group's, unless another was first. Of collectives only those may still end
  /// well that are before both; members that were told of the other over a network do not hear of
  /// that, and give up those between when they have waited for them.
  virtual void PostError(const ErrorRecord& error) = 0;
  virtual std::optional<ErrorRecord> error() const = 0;

  /// For errors: job, host, process and rank of `member`, as far as they are known.
  virtual base::Subject SubjectOf(int member) const = 0;
};

/// Where boards come from. One for all groups of a process. Thread-safe.
class BoardSource {
 public:
  virtual ~BoardSource() = default;
  /// This member's end; the others then see that it came. Blocks: at most `deadline`; for the other
  /// members where it has to learn where they are. Errors: those of making a group
  /// (BackendMaker::Make).
  virtual base::Result<std::unique_ptr<GroupBoard>> Open(const GroupSpec& spec,
                                                         const OpDeadline& deadline) = 0;
  /// Of members that have all been in one group, which was opened here, as they were on the others.
  /// Waits for none of them.
  virtual base::Result<std::unique_ptr<GroupBoard>> OpenDerived(const GroupSpec& spec,
                                                                const OpDeadline& deadline) {
    return Open(spec, deadline);
  }
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_NCCL_GROUP_BOARD_H_
