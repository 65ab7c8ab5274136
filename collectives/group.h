// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_GROUP_H_
#define LOCKSTEP_COLLECTIVES_GROUP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "collectives/types.h"
#include "collectives/work.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// Where a buffer lives. Device buffers come with the backends that know them.
struct Device {
  enum class Kind : uint8_t { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int index = 0;

  friend bool operator==(const Device&, const Device&) = default;
};

/// Memory to read from. `count` is in elements of `dtype`; a zero count is an ordinary op on no
/// data; `data` needs only the alignment of a byte.
struct ConstBuffer {
  const void* data = nullptr;
  size_t count = 0;
  Dtype dtype = Dtype::kF32;
  Device device;

  size_t bytes() const { return count * DtypeBytes(dtype); }
};

/// Memory to write to.
struct Buffer {
  void* data = nullptr;
  size_t count = 0;
  Dtype dtype = Dtype::kF32;
  Device device;

  size_t bytes() const { return count * DtypeBytes(dtype); }
  // NOLINTNEXTLINE(google-explicit-constructor): what may be written may be read
  operator ConstBuffer() const { return {data, count, dtype, device}; }
};

/// What one call may say beside its buffers.
struct OpOptions {
  base::Duration timeout{0};  // 0 = the group's
  std::string tag;  // shown in records and errors, e.g. "bucket 3"; 15 characters are kept
  std::source_location call_site = std::source_location::current();
};

/// What a group is. All but `rank` is the same on all of its members.
struct GroupInfo {
  std::string name;       // "world"
  uint32_t instance = 1;  // the how manieth of this name and these members
  base::GroupId id;       // hash of job, name, members and instance
  base::Round epoch;      // round in which it was built: messages of another are refused
  base::GroupRank rank;   // mine
  int size = 0;           // members
  std::vector<base::Rank> world_ranks;  // by group rank
  std::string backend;                  // "host"

  // What not every backend keeps, and what a program may ask for before it relies on it:

  /// Before a byte is reduced the members compare kind, dtype, reduction, count and root of the op:
  /// a mismatch is the same FailedPrecondition (class kUsage) on every member, blaming the
  /// minority. Elsewhere calls that differ end as the library makes them end, or at their deadline.
  bool compares_calls = false;
  /// The same inputs give the same bits on every rank and in every run (reduction in rank order).
  bool bitwise_reproducible = false;
};

/// A set of ranks that issue collectives together, in the same order on every member. Backends:
/// host (shared memory).
///
/// Semantics that every backend keeps (collectives/group_contract_test.cc):
/// - Each call returns at once with a Work, in every rank, but for a backlog of thousands: then it
///   waits until an op has ended. Collectives of one group run in the order of the calls.
/// - Sends and receives, where there are any, are ordered for each pair of members, and apart from
///   collectives: neither waits for the other.
/// - OK means a right result on this rank, of calls that agree (GroupInfo::compares_calls).
/// - A call that breaks the rules of its arguments fails on its own member with InvalidArgument or
///   Unimplemented. It is an op of the group all the same: the others get FailedPrecondition (class
///   kUsage) for it, with this member as its subject and the reason, as soon as they come to it.
/// - Deadlines: an op ends by its own timeout, or the group's. A passed deadline is
///   DeadlineExceeded and blames the members that had not arrived. Time in which this process was
///   stopped does not count.
/// - First error poisons: after any error every later op on any member fails at once with the root
///   error as its cause. A poisoned group can still be asked what it is, dropped, and (where the
///   backend can) made into a smaller one.
/// - Output buffers of a failed op hold unspecified bytes; inputs that are not outputs are
///   untouched.
/// - In place: where `in.data == out.data` is allowed, the op says so; any other overlap is
///   InvalidArgument.
///
/// Threads: one thread at a time may call; Works may be waited on from any thread. Destruction
/// aborts what is in flight, on this member only, and tells the others.
/// Errors common to all ops: InvalidArgument - buffer rules broken; Unimplemented - the backend
/// lacks the op for this dtype or reduction (names all three); FailedPrecondition (class kUsage) -
/// another member's call was refused, or differs; DeadlineExceeded (class kPeerStalled) - members
/// did not come in time, blamed: a process that was killed, too, since it says nothing any more;
/// Unavailable (class kPeerDead) - a member that this op needs has dropped the group, blamed;
/// Aborted - group poisoned or torn down.
class Group {
 public:
  virtual ~Group() = default;

  virtual const GroupInfo& info() const = 0;
  /// Whether AllReduce knows this pair: a call with another one is refused, and a refused call ends
  /// the group.
  virtual bool CanReduce(Dtype dtype, Reduction reduction) const = 0;
  int size() const { return info().size; }
  base::GroupRank rank() const { return info().rank; }

  /// out[i] = reduction over ranks of in[i]. Shape: in.count == out.count, equal on all ranks. In
  /// place allowed.
  virtual std::shared_ptr<Work> AllReduce(ConstBuffer in, Buffer out, Reduction reduction,
                                          OpOptions options = {}) = 0;
  /// The buffer of `root` is copied to all. Shape: equal counts on all ranks. In place by nature.
  virtual std::shared_ptr<Work> Broadcast(Buffer buffer, base::GroupRank root,
                                          OpOptions options = {}) = 0;
  /// out[r * in.count + i] = in[i] of rank r. Shape: out.count == size * in.count. In place allowed
  /// when in.data == out.data + rank * in.bytes().
  virtual std::shared_ptr<Work> AllGather(ConstBuffer in, Buffer out, OpOptions options = {}) = 0;
  /// Ends on no member before it was called on all.
  virtual std::shared_ptr<Work> Barrier(OpOptions options = {}) = 0;

  /// The timeout of ops that name none; changeable while running, for ops called after. Default 300
  /// s.
  virtual base::Duration timeout() const = 0;
  virtual void SetTimeout(base::Duration timeout) = 0;

  /// Poisons the group on all members with `reason`: every op in flight or to come ends with
  /// Aborted. Never blocks.
  virtual void Abort(base::Status reason) = 0;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_GROUP_H_
