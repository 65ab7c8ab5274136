// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/op_failures.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/host/shm/shm_layout.h"

namespace lockstep::collectives {
namespace {

OpFailures::Members Only(int member) {
  return OpFailures::Members().set(static_cast<size_t>(member));
}

/// By what they called, the largest side first.
std::vector<OpFailures::Members> SidesOf(const ShmMembers& members, uint64_t seq) {
  std::map<uint64_t, OpFailures::Members> by_fingerprint;
  for (int member = 0; member < members.count(); ++member) {
    by_fingerprint[members.page(member).arrival[seq & 1].fingerprint].set(
        static_cast<size_t>(member));
  }
  std::vector<OpFailures::Members> sides;
  for (const auto& [fingerprint, side] : by_fingerprint) sides.push_back(side);
  std::sort(sides.begin(), sides.end(), [](const auto& a, const auto& b) {
    return a.count() != b.count() ? a.count() > b.count() : a._Find_first() < b._Find_first();
  });
  return sides;
}

}  // namespace

std::string OpFailures::Describe(const Call& call) const {
  const Op& op = call.op;
  return DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + ", op " +
         std::to_string(call.seq) + " of group " + group_name();
}

void OpFailures::Differ(const Call& call) const {
  const std::vector<Members> sides = SidesOf(members_, call.seq);
  const bool tie = sides.size() > 1 && sides[0].count() == sides[1].count();
  std::string message =
      "the members of group " + group_name() + " disagree on op " + std::to_string(call.seq) + ": ";
  Members blamed;
  for (size_t i = 0; i < sides.size(); ++i) {
    const int first = static_cast<int>(sides[i]._Find_first());
    const OpCard& card = members_.page(first).ops[call.seq & 1];
    message += (i == 0 ? "" : "; ") + members_.Describe(sides[i]) + " called " +
               DescribeOp(static_cast<OpKind>(card.kind), static_cast<Dtype>(card.dtype),
                          static_cast<Reduction>(card.reduction), card.root, card.count) +
               " at " + ReadSharedText(card.call_site, kCallSiteBytes);
    if (i > 0 || tie) blamed |= sides[i];
  }
  if (tie) message += "; no side is a majority, so either may be wrong";
  Publish(call,
          base::FailedPreconditionError(std::move(message)).WithClass(base::FailureClass::kUsage),
          blamed);
}

void OpFailures::RanOut(const Call& call, Phase phase, const Members& missing,
                        const OpDeadline::Due& due) const {
  const std::string timeout = base::FormatDuration(due.timeout);
  std::string message;
  if (call.op.kind == OpKind::kInit) {
    message = "joining group " + group_name() + ": " + members_.Describe(missing) +
              " never came within " + timeout;
  } else {
    message = Describe(call) +
              (due.seq.value() == call.seq
                   ? ", ran out of its " + timeout
                   : ", holds up op " + due.seq.ToString() + ", which ran out of its " + timeout) +
              ": " + members_.Describe(missing) +
              (phase == Phase::kArrival ? " never called it" : " stopped in the middle of it");
  }
  Publish(
      call,
      base::DeadlineExceededError(std::move(message)).WithClass(base::FailureClass::kPeerStalled),
      missing);
}

void OpFailures::Left(const Call& call, Phase phase, const Members& left) const {
  Publish(call,
          base::UnavailableError(
              Describe(call) + ": " + members_.Describe(left) + " left the group " +
              (phase == Phase::kArrival ? "without calling it" : "in the middle of it"))
              .WithClass(base::FailureClass::kPeerDead),
          left);
}

void OpFailures::CannotBeRead(const Call& call, int member, int error_number) const {
  if (error_number == EPERM) {  // the group was made with it, so that this came later
    Publish(
        call,
        base::PermissionDeniedError(
            Describe(call) + ": " + members_.Describe(Only(members_.self())) +
            " may no longer read the memory of " + members_.Describe(Only(member)) +
            " (process_vm_readv: " + std::strerror(error_number) +
            "); a filter, a change of user or kernel.yama.ptrace_scope forbids it since the group "
            "was made: groups that are made afterwards do without"),
        Only(members_.self()));
    return;
  }
  Publish(
      call,
      base::UnavailableError(Describe(call) + ": reading the memory of " +
                             members_.Describe(Only(member)) + ": " + std::strerror(error_number))
          .WithClass(base::FailureClass::kPeerDead),
      Only(member));
}

void OpFailures::CountsDiffer(const Call& call, int from, int to, uint64_t sent,
                              uint64_t expected) const {
  Publish(call,
          base::FailedPreconditionError(Describe(call) + ": " + members_.Describe(Only(from)) +
                                        " sends " + std::to_string(sent) + " elements to " +
                                        members_.Describe(Only(to)) + ", which expects " +
                                        std::to_string(expected))
              .WithClass(base::FailureClass::kUsage),
          Only(from) | Only(to));
}

}  // namespace lockstep::collectives
