// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/shm/op_failures.h"

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "collectives/engine/op.h"
#include "collectives/engine/sides.h"
#include "collectives/host/shm/shm_layout.h"

namespace lockstep::collectives {
namespace {

OpFailures::Members Only(int member) {
  return OpFailures::Members().set(static_cast<size_t>(member));
}

OpFailures::Members SetOf(const std::vector<int>& members) {
  OpFailures::Members set;
  for (const int member : members) set.set(static_cast<size_t>(member));
  return set;
}

}  // namespace

std::string OpFailures::Describe(const Call& call) const {
  const Op& op = call.op;
  return DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count) + ", op " +
         std::to_string(call.seq) + " of group " + group_name();
}

void OpFailures::Differ(const Call& call) const {
  std::vector<uint64_t> fingerprints;
  for (int member = 0; member < members_.count(); ++member)
    fingerprints.push_back(members_.page(member).arrival[call.seq & 1].fingerprint);
  const Sides sides(fingerprints);
  const auto names = [this](const std::vector<int>& side) {
    return members_.Describe(SetOf(side));
  };
  const auto call_of = [this, &call](int member) {
    const OpCard& card = members_.page(member).ops[call.seq & 1];
    return DescribeOp(static_cast<OpKind>(card.kind), static_cast<Dtype>(card.dtype),
                      static_cast<Reduction>(card.reduction), card.root, card.count) +
           " at " + ReadSharedText(card.call_site, kCallSiteBytes);
  };
  Publish(call,
          base::FailedPreconditionError("the members of group " + group_name() +
                                        " disagree on op " + std::to_string(call.seq) + ": " +
                                        sides.DescribeCalls(names, call_of))
              .WithClass(base::FailureClass::kUsage),
          SetOf(sides.Blamed()));
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
