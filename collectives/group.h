// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_GROUP_H_
#define LOCKSTEP_COLLECTIVES_GROUP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/capabilities.h"
#include "collectives/types.h"
#include "collectives/work.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace lockstep::collectives {

/// Where a buffer lives. Device buffers come with the backends that know them, and lie on the
/// group's own device (Capabilities::cuda_device).
struct Device {
  enum class Kind : uint8_t { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int index = 0;  // of CUDA, in this process; of main memory there is one

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

/// Where a call was made: shown in records and errors. Its file's name is of static storage.
struct CallSite {
  // NOLINTNEXTLINE(google-explicit-constructor): a place in C++ is one
  CallSite(std::source_location place) : file(place.file_name()), line(place.line()) {}
  /// Of a caller in another language.
  CallSite(const char* file_name, uint32_t line_number) : file(file_name), line(line_number) {}

  const char* file;
  uint32_t line;
};

/// What one call may say beside its buffers.
struct OpOptions {
  base::Duration timeout{0};  // 0 = the group's
  std::string tag;   // shown in records and errors, e.g. "bucket 3"; 15 characters are kept
  double scale = 1;  // what kPremultipliedSum multiplies this member's input with
  /// Of AllReduce, AllGather, AllGatherV and Broadcast in main memory; the same on all members. The
  /// call blocks until the op has ended and all members have compared its output, bit by bit: see
  /// CheckAgreement (agreement.h). Where it differs the op ends with DataLoss on all of them, which
  /// names the members that are not with the majority, and the first element; the group goes on.
  bool verify = false;
  /// Of buffers on a GPU: a CUDA stream (cudaStream_t); the op begins after what was put on it
  /// before the call. Null: the buffers are ready, as those in main memory must be; over a backend
  /// of main memory alone (Capabilities::cuda_memory) a stream is InvalidArgument.
  void* stream = nullptr;
  CallSite call_site = std::source_location::current();
};

/// What a group is. All but `rank` is the same on all of its members.
struct GroupInfo {
  std::string name;       // "world"
  uint32_t instance = 1;  // the how manieth of this name and these members
  base::GroupId id;       // hash of what names it in the job
  base::Round epoch;      // round in which it was built: messages of another are refused
  base::GroupRank rank;   // mine
  int size = 0;           // members
  std::vector<base::Rank> world_ranks;  // by group rank
  std::string backend;                  // "shm"; Capabilities::backend
};

/// One direction of a batch (Group::Batch).
struct Transfer {
  static Transfer Send(ConstBuffer buffer, base::GroupRank to) {
    return {.peer = to, .out = buffer};
  }
  static Transfer Recv(Buffer buffer, base::GroupRank from) {
    return {.peer = from, .receives = true, .in = buffer};
  }

  base::GroupRank peer;
  bool receives = false;
  ConstBuffer out;  // sent
  Buffer in;        // received
};

/// Memory from Group::AllocBuffer, in which the group's ops go fastest. Where members share memory
/// all of them can reach it, so that less is copied; where they do not (tcp), it is this process's
/// own, on huge pages. Zeroed. Freed when the last holder drops it, which must be after the ops on
/// it; the group itself may end before.
class SharedBuffer {
 public:
  virtual ~SharedBuffer() = default;
  virtual std::byte* data() const = 0;  // aligned to a page
  virtual size_t bytes() const = 0;
};

/// Memory that a library keeps ready for ops, for as long as this lives (Group::RegisterBuffer).
/// May outlive its group; the memory must outlive it. Thread-safe.
class Registration {
 public:
  virtual ~Registration() = default;
};

/// The color of a member that is to be in none of the groups of a split.
inline constexpr int kNoColor = -1;

struct Op;           // collectives/engine/op.h
class OpDeadline;    // collectives/engine/op_deadline.h
struct OwnDeadline;  // collectives/engine/own_deadline.h

/// A set of ranks that issue collectives together, in the same order on every member. Backends:
/// host (shared memory inside a machine), and those that capabilities().backend names.
///
/// Semantics that every backend keeps (collectives/testing/{ops,group}_*_tests.cc):
/// - Each call returns at once with a Work, in every rank, but for a backlog of thousands: then it
///   waits until an op has ended. Collectives of one group run in the order of the calls.
/// - Sends and receives are ordered for each pair of members and direction, and apart from
///   collectives: neither waits for the other. The n-th send from a to b meets the n-th receive of
///   b from a; there are no tags.
/// - OK means a right result on this rank, of calls that agree (Capabilities::compares_calls).
/// - A call that breaks the rules of its arguments fails on its own member with InvalidArgument or
///   Unimplemented. It is an op of the group all the same: the others get FailedPrecondition (class
///   kUsage) for it, with this member as its subject and the reason, as soon as they come to it. (A
///   send or receive has one other end: such a call poisons the group at once.)
/// - Deadlines: an op ends by its own timeout, or the group's. A passed deadline is
///   DeadlineExceeded and blames the members that had not arrived. Time in which this process was
///   stopped does not count, nor does that of a long phase that a missing member has declared
///   (LongPhase).
/// - First error poisons: after any error every later op on any member fails at once with the root
///   error as its cause. A poisoned group can still be asked what it is, dropped, and made into a
///   smaller one (Shrink).
/// - Output buffers of a failed op hold unspecified bytes; inputs that are not outputs are
///   untouched.
/// - Counts are elements. A zero count is an ordinary op on no data; `data` needs no alignment;
///   counts need not be divisible by the size of the group where the shape does not say so.
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
  virtual const Capabilities& capabilities() const = 0;
  /// Whether the ops that reduce know this pair: a call with another one is refused, and a refused
  /// call ends the group.
  bool CanReduce(Dtype dtype, Reduction reduction) const {
    return capabilities().Has(dtype, reduction);
  }
  int size() const { return info().size; }
  base::GroupRank rank() const { return info().rank; }

  // In the shapes below n is the group's size, r a member's group rank, and i an element's index.

  /// out[i] = reduction over r of in_r[i]. Shape: in.count == out.count, equal on all. In place
  /// allowed. kAverage divides the sum by n; kPremultipliedSum adds options.scale * in.
  std::shared_ptr<Work> AllReduce(ConstBuffer in, Buffer out, Reduction reduction,
                                  OpOptions options = {});
  /// As AllReduce, with the result on `root` alone; `out` of others is not touched and may be
  /// empty. In place allowed.
  std::shared_ptr<Work> Reduce(ConstBuffer in, Buffer out, Reduction reduction,
                               base::GroupRank root, OpOptions options = {});
  /// The buffer of `root` is copied to all. Shape: equal counts on all. In place by nature.
  std::shared_ptr<Work> Broadcast(Buffer buffer, base::GroupRank root, OpOptions options = {});
  /// out[r * in.count + i] = in_r[i]. Shape: out.count == n * in.count, equal on all. In place
  /// allowed when in.data == out.data + rank * in.bytes().
  std::shared_ptr<Work> AllGather(ConstBuffer in, Buffer out, OpOptions options = {});
  /// As AllGather with parts of different sizes, one after the other. Shape: `counts` by group
  /// rank, equal on all; in.count == counts[rank]; out.count == their sum. In place as AllGather.
  std::shared_ptr<Work> AllGatherV(ConstBuffer in, Buffer out, std::span<const size_t> counts,
                                   OpOptions options = {});
  /// out[i] = reduction over r of in_r[rank * out.count + i]. Shape: in.count == n * out.count,
  /// equal on all. In place allowed when out.data == in.data + rank * out.bytes().
  std::shared_ptr<Work> ReduceScatter(ConstBuffer in, Buffer out, Reduction reduction,
                                      OpOptions options = {});
  /// As ReduceScatter with parts of different sizes, one after the other. Shape: `counts` by group
  /// rank, equal on all; out.count == counts[rank]; in.count == their sum. In place as
  /// ReduceScatter.
  std::shared_ptr<Work> ReduceScatterV(ConstBuffer in, Buffer out, std::span<const size_t> counts,
                                       Reduction reduction, OpOptions options = {});
  /// out[r * part + i] = in_r[rank * part + i], part = in.count / n. Shape: in.count == out.count,
  /// divisible by n, equal on all. Not in place.
  std::shared_ptr<Work> AllToAll(ConstBuffer in, Buffer out, OpOptions options = {});
  /// As AllToAll with parts of different sizes, one after the other. Shape: in.count is the sum of
  /// `in_counts`, out.count that of `out_counts`, both by group rank; in_counts[r] here ==
  /// out_counts[rank] on r, else the op is a mismatch on all. Not in place.
  std::shared_ptr<Work> AllToAllV(ConstBuffer in, std::span<const size_t> in_counts, Buffer out,
                                  std::span<const size_t> out_counts, OpOptions options = {});
  /// On root out[r * in.count + i] = in_r[i]. Shape: out.count == n * in.count on root; `out` of
  /// others is not touched and may be empty. In place on root as AllGather.
  std::shared_ptr<Work> Gather(ConstBuffer in, Buffer out, base::GroupRank root,
                               OpOptions options = {});
  /// out[i] = in_root[rank * out.count + i]. Shape: in.count == n * out.count on root; `in` of
  /// others is not read and may be empty. In place on root as ReduceScatter.
  std::shared_ptr<Work> Scatter(ConstBuffer in, Buffer out, base::GroupRank root,
                                OpOptions options = {});
  /// Ends on no member before it was called on all.
  std::shared_ptr<Work> Barrier(OpOptions options = {});

  /// Sends to one member. Shape: dtype and count are those of the receive that it meets, else both
  /// ends fail (class kUsage). Ends when the buffer may be written again, which may be before it
  /// was received. To oneself: allowed.
  std::shared_ptr<Work> Send(ConstBuffer buffer, base::GroupRank to, OpOptions options = {});
  std::shared_ptr<Work> Recv(Buffer buffer, base::GroupRank from, OpOptions options = {});
  /// Sends and receives that all go on at once; ends when all have, at the first error else. In
  /// order with other sends and receives of the same pairs.
  std::shared_ptr<Work> Batch(std::span<const Transfer> transfers, OpOptions options = {});

  /// The group of the members that name the same `color`, ordered by `key` and then by rank here;
  /// null for kNoColor. Collective: every member calls it; ordered with the other collectives.
  /// Blocks: until the members have come, at most the timeout, which is of both steps: that they
  /// tell each other the colors, and that the group is made. (When the first has waited beyond it
  /// for a member in a long phase, the second has a whole one.) Errors: InvalidArgument - a negative
  /// color; those of making a group, which poison neither this nor the other groups of the split.
  base::Result<std::shared_ptr<Group>> Split(int color, int key, OpOptions options = {});
  /// Another group of the same members, with an order of its own. Collective. Blocks, errors: as
  /// Split.
  base::Result<std::shared_ptr<Group>> Duplicate(OpOptions options = {});
  /// The group of some of the members, this one among them, in the order given; they alone call it,
  /// all with the same `members`. The others stay what they are. Blocks: as Split. Errors: as
  /// Split; InvalidArgument - no member, one that is named twice, or this one is not among them.
  base::Result<std::shared_ptr<Group>> Subset(std::span<const base::GroupRank> members,
                                              OpOptions options = {});
  /// The group of the members that are left without `excluded`, in their order; also of a poisoned
  /// group, which stays so. Only those that are left call it, all with the same `excluded`. In a
  /// job that keeps its survivors (`lockstep run --on-rank-failure keep`) the job goes on without
  /// the excluded, who are killed if they still live, and the rest is as ShrinkToSurvivors, which
  /// others may call meanwhile: all of them meet. Whom an op blames may have been held up itself:
  /// exclude only whom the program knows to be of no use. Blocks, errors: as Split, or as that.
  base::Result<std::shared_ptr<Group>> Shrink(std::span<const base::GroupRank> excluded,
                                              OpOptions options = {});
  /// The group of the members that are left, in their order, in a job that keeps its survivors: for
  /// those whose op has failed, whatever failed it. All of them call it. Left out is who is gone
  /// from the job, also who dies meanwhile; and who was blamed for the failure as dead, stuck or
  /// out of reach and does not call this within 2 s of another member (a timeout below that leaves
  /// no time to find out): the job goes on without it, and kills it. When all members come it is a
  /// group of as many, made anew; three times in a row at most unless an op has ended well between.
  /// What comes from the old group, or from a member that is gone but wakes up, never reaches the
  /// new one, whose memory, keys and connections are its own. Blocks: until those that are left
  /// have come, at most the timeout. Errors: as Split; FailedPrecondition - the job keeps no
  /// survivors, has gone on without this rank, or no op ends well although all live;
  /// DeadlineExceeded - members that nobody blames did not come.
  base::Result<std::shared_ptr<Group>> ShrinkToSurvivors(OpOptions options = {});
  /// The group of the members and, behind them, `added` ranks of the world. Those call Subset of
  /// a group that they are in with the others (the session's), with all these ranks in this order:
  /// both ways lead to the same group. Blocks, errors: as Split; InvalidArgument - one of them is a
  /// member.
  base::Result<std::shared_ptr<Group>> Grow(std::span<const base::Rank> added,
                                            OpOptions options = {});

  /// `bytes` of memory that the other members can reach. Collective: every member calls it with the
  /// same size; ordered with the other collectives. Blocks: until all have come and there is
  /// memory, at most the timeout, as Split. Errors: Unimplemented - the backend has none;
  /// ResourceExhausted - no memory.
  virtual base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                                  OpOptions options = {}) = 0;

  /// Makes memory of the caller known to the backend's library, for buffers that ops use again and
  /// again: NCCL then goes without copies through its own where it can. Of this member alone; ops
  /// take such buffers, and parts of them, as any other. Blocks: shortly, at most the group's
  /// timeout. Errors: Unimplemented - the backend's ops gain nothing by it: those of host backends
  /// go fastest in memory of AllocBuffer, which others can reach, and MPI registers by itself;
  /// InvalidArgument - no memory.
  virtual base::Result<std::unique_ptr<Registration>> RegisterBuffer(Buffer buffer);

  /// Which algorithm an op of this many elements would take here, and why: a line for people.
  virtual std::string Explain(OpKind kind, Dtype dtype, size_t count) const = 0;

  /// The timeout of ops that name none; changeable while running, for ops called after. Default 300
  /// s.
  virtual base::Duration timeout() const = 0;
  virtual void SetTimeout(base::Duration timeout) = 0;

  /// Poisons the group on all members with `reason`: every op in flight or to come ends with
  /// Aborted. Never blocks.
  virtual void Abort(base::Status reason) = 0;

 protected:
  friend class LongPhase;

  /// What a derived group is made from.
  struct Derivation {
    OpKind kind;
    std::string name;
    std::vector<base::Rank>
        world_ranks;  // by rank in the new group; holds this member, or is empty
    int color = 0;    // these two of a split
    int key = 0;
    std::string reason = "";  // of a shrink: why the job is to go on without the others
  };

  /// Whether `buffer` may be registered. Errors: as RegisterBuffer; Unimplemented - not memory of
  /// this backend's ops.
  base::Status CheckRegistered(const Buffer& buffer) const;
  /// InvalidArgument - a stream where buffers are in main memory alone.
  base::Status CheckStream(OpKind kind, const OpOptions& options) const;
  /// Queues a collective; `valid` says whether its arguments were, else it is to be refused in its
  /// turn.
  virtual std::shared_ptr<Work> Submit(Op&& op, base::Status valid) = 0;
  /// Starts sends and receives that end together, as `batch` says (its timeout, tag, call site).
  virtual std::shared_ptr<Work> SubmitTransfers(std::vector<Op> transfers, Op batch,
                                                base::Status valid) = 0;
  /// Null for no world ranks: this member is in none of the groups of a split. Blocks: at most
  /// `deadline`, which is of the whole call, here as below.
  virtual base::Result<std::shared_ptr<Group>> Derive(Derivation derivation,
                                                      const OpDeadline& deadline) = 0;
  /// What subsets and grown groups are called, from whatever group they come.
  std::string SubsetName() const;
  /// What the survivors of a group of that name are called, however often it was made smaller.
  static std::string SurvivorsName(std::string_view name);
  /// What ShrinkToSurvivors makes. Errors beside its: FailedPrecondition - the group knows of no
  /// rounds.
  virtual base::Result<std::shared_ptr<Group>> DeriveSurvivors(Derivation derivation,
                                                               const OpDeadline& deadline);
  /// `mine` of every member, by rank, into `all`: a collective on main memory, also where the
  /// backend's ops are not. Blocks: as an op, and as OwnDeadline::Await.
  virtual base::Status GatherNumbers(std::span<const int32_t> mine, std::span<int32_t> all,
                                     OpOptions options, OwnDeadline& own);
  /// Tells the others that this member may be late by `at_most` from now; 0 takes it back.
  virtual void DeclareLongPhase(base::Duration at_most) = 0;

 private:
  Op MakeOp(OpKind kind, Dtype dtype, const OpOptions& options) const;
  std::shared_ptr<Work> Call(Op&& op, base::Status valid, const OpOptions& options);
  /// Call() of an op whose `output` is the same on all members.
  std::shared_ptr<Work> CallAlike(Op&& op, base::Status valid, const Buffer& output,
                                  const OpOptions& options);
  base::Status CheckRoot(OpKind kind, base::GroupRank root) const;
  base::Status CheckSides(OpKind kind, const ConstBuffer& in, const ConstBuffer& out,
                          Reduction reduction, bool in_place) const;
  Op MakeTransfer(const Transfer& transfer, const OpOptions& options, base::Status& valid) const;

  uint64_t split_count_ = 0;  // equal on all members, since splits are collective
};

/// A scope in which this member may be late without being blamed, e.g. while it compiles or saves a
/// checkpoint: ops of others that wait for it alone do not run into their deadlines for `at_most`.
/// One at a time in a group.
class LongPhase {
 public:
  /// `group` outlives this.
  LongPhase(Group& group, base::Duration at_most) : group_(group) {
    group_.DeclareLongPhase(at_most);
  }
  ~LongPhase() { group_.DeclareLongPhase(base::Duration(0)); }
  LongPhase(const LongPhase&) = delete;
  LongPhase& operator=(const LongPhase&) = delete;

 private:
  Group& group_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_GROUP_H_
