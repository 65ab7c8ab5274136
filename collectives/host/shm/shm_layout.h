// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_LAYOUT_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_LAYOUT_H_

/// The bytes that the members of a host group share. Fresh memory is all zero, which is the valid
/// first state.
///
///   segment := Control, MemberPage[n], Payload[n], Lane[n * n]
///   Payload := CountsPage[2], small[2] of small_bytes(), ring of small_ring_bytes(),
///              stage[w] of n slices, result[w] of one slice
///   Lane    := LaneLine by the sender, LaneLine by the receiver, ring of lane_ring_bytes()
///
/// A lane, from one member to another, is a stream of messages: LaneHeader, then the payload.
///
/// Every word but those of Control has one writer, the member whose page it is in, and lies in a
/// cache line that only that member writes. Two of what belongs to an op (by the parity of its
/// number) are enough: a member can be at most one arrival ahead of another, since an op starts
/// with everybody's arrival. Of stages and results, which belong to windows, there are more than
/// that needs: to write a line that lies in another core's cache costs 16 ns, so none is written
/// again before 2 MiB of others have pushed it out there. (Two windows made all_reduce of 1 MiB
/// take 150 us instead of 70 on an EPYC.) So it is with small inputs of kMinRotatedBytes or more,
/// which follow each other around a ring: each begins where the one before ended, at the ring's
/// begin where it does not fit before the end, on all members alike. (4 KiB: 0.25 us instead of
/// 0.42.) Members of larger groups would have too much of it, and take the two places of smaller
/// ones.
///
/// Example, all_reduce of 3 floats as op 5 with n = 2: each member fills ops[1], puts its 12 bytes
/// and the fingerprint into arrival[1] and then stores arrival[1].seq = 5; each spins until the
/// other's arrival[1].seq is 5, compares the fingerprints, and adds the two payloads in rank order.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "collectives/engine/member_names.h"

namespace lockstep::collectives {

inline constexpr uint32_t kShmLayoutVersion = 7;
inline constexpr int kMaxShmMembers = 256;
inline constexpr size_t kCacheLine = 64;
inline constexpr size_t kInlineBytes = 48;
/// Small inputs of all members together are about as many bytes: all of them are read by everybody.
inline constexpr size_t kSmallInputsBytes = size_t{64} << 10;
inline constexpr size_t kMinSmallBytes = size_t{8} << 10;
inline constexpr size_t kMinRotatedBytes = 2048;
/// Of the rings of all members together.
inline constexpr size_t kSmallRingsBytes = size_t{8} << 20;
inline constexpr size_t kMaxSliceBytes = size_t{64} << 10;
inline constexpr size_t kMaxStageBytes = size_t{512} << 10;
/// Of all stages of a member together: more than a second-level cache.
inline constexpr size_t kStagesBytes = size_t{2} << 20;
inline constexpr uint64_t kMaxWindows = 16;
/// Windows are numbered through the group's life, from here, so that "as many windows ago" is never
/// negative.
inline constexpr uint64_t kFirstWindow = kMaxWindows;

/// What a member says when it comes to an op: one cache line, so a peer that sees `seq` has the
/// rest with it.
struct alignas(kCacheLine) ArrivalLine {
  std::atomic<uint64_t> seq;  // 0 = never; stored last
  uint64_t fingerprint;       // kRefusedFingerprint: my call was wrong, and my SharedError says how
  std::byte payload[kInlineBytes];
};

/// Where a member's buffers are, in the payload of its arrival line when that holds no input. The
/// others then may read and write them without a copy through the segment.
struct BufferRefs {
  // Which SharedBuffer each lies in, from 1, and where; 0 = in none.
  uint32_t in_shared;
  uint32_t out_shared;
  uint64_t in_offset;
  uint64_t out_offset;
  // In the member's address space, for process_vm_readv.
  uint64_t in_address;
  uint64_t out_address;
  // Of this op, should it be neither small nor direct, a WayOfMoving; else of the next small input
  // of this kind and size. Member 0's counts.
  uint32_t way_of_moving;
  // Whether others may fetch from both addresses, where that may be asked for: 1, else 0.
  uint32_t is_readable;
};

/// The call behind a fingerprint, to explain a mismatch.
struct alignas(kCacheLine) OpCard {
  double scale;  // of this member's input, in a premultiplied sum
  uint64_t count;
  int32_t root;
  uint8_t kind;
  uint8_t dtype;
  uint8_t reduction;
  char call_site[kCallSiteBytes];
};

/// How far a member is with windows; each counts the windows that it is through with, and only
/// grows.
struct alignas(kCacheLine) ProgressLine {
  // Of windows below ...
  std::atomic<uint64_t> staged;    // my inputs lie in my stage
  std::atomic<uint64_t> reduced;   // I need nobody's stage; my result is there
  std::atomic<uint64_t> gathered;  // I need nobody's result
};

/// What a member sends to and expects of each other in an all_to_all_v, in elements.
struct alignas(4096) CountsPage {
  uint64_t in[kMaxShmMembers];
  uint64_t out[kMaxShmMembers];
};

/// Bytes that have passed through a lane at one of its ends; only grows.
struct alignas(kCacheLine) LaneLine {
  std::atomic<uint64_t> position;
};

/// In front of each message of a lane.
struct LaneHeader {
  uint64_t seq;  // of the pair and direction, from 1
  uint64_t count;
  uint32_t dtype;
  uint32_t reserved;
};

enum class ReadProbe : uint32_t { kNotYet = 0, kAllowed = 1, kRefused = 2 };

enum class MemberState : uint32_t { kAbsent = 0, kJoining = 1, kJoined = 2, kLeft = 3 };

/// Who a member is; complete before `state` becomes kJoined.
struct alignas(kCacheLine) MemberCard {
  std::atomic<MemberState> state;
  uint32_t layout_version;
  uint64_t group;  // a hash over the job's id too
  uint32_t epoch;
  uint32_t incarnation;
  int32_t member_count;
  int32_t world_rank;
  int64_t pid;
  // For the members' probes whether they may read each other's memory: at this address of this
  // process lies this value.
  uint64_t probe_address;
  uint64_t probe_value;
  // Affinity mask: the members together find out whether each has a core of its own.
  uint64_t cpus[16];
};

/// Why the group is poisoned, as the member that poisoned it saw it. Plain data: written before
/// Control::poison names it.
struct alignas(kCacheLine) SharedError {
  struct Blamed {
    int32_t member;
    char call_site[kCallSiteBytes];
  };

  uint64_t seq;  // the op it happened in; 0 = none
  uint32_t code;
  uint32_t failure_class;
  OpCard op;
  int32_t blamed_count;
  Blamed blamed[kNamedMembersMax];
  char message[1024];
};

struct alignas(4096) MemberPage {
  ArrivalLine arrival[2];
  ProgressLine progress;
  // What its probe of the member behind it said.
  alignas(kCacheLine) std::atomic<ReadProbe> reads_peers;
  // CLOCK_MONOTONIC nanoseconds until which this member said it may be late; 0 = it did not.
  alignas(kCacheLine) std::atomic<int64_t> late_until_ns;
  OpCard ops[2];
  MemberCard card;
  SharedError error;
};

/// Written by anybody, rarely. On lines of their own: all members poll `poison`, and it stays in
/// their caches.
struct alignas(4096) Control {
  // 0, or 1 + the member whose SharedError counts; set once.
  alignas(kCacheLine) std::atomic<uint32_t> poison;
  alignas(kCacheLine) std::atomic<uint32_t> sleepers;  // members in futex wait on `bell`
  std::atomic<uint32_t> bell;
};

static_assert(std::atomic<uint64_t>::is_always_lock_free, "flags are shared between processes");
static_assert(sizeof(ArrivalLine) == kCacheLine && sizeof(OpCard) == kCacheLine &&
              sizeof(ProgressLine) == kCacheLine && sizeof(LaneLine) == kCacheLine);
static_assert(sizeof(BufferRefs) <= kInlineBytes);
static_assert(sizeof(LaneHeader) == 24 && sizeof(CountsPage) == 4096);
static_assert(sizeof(MemberPage) == 4096 && sizeof(Control) == 4096);

/// Where things lie in the segment of a group of `member_count`.
class ShmLayout {
 public:
  explicit ShmLayout(int member_count)
      : member_count_(static_cast<size_t>(member_count)),
        slice_bytes_(SliceBytes(member_count_)),
        window_count_(WindowCount(stage_bytes())),
        lane_ring_bytes_(LaneRingBytes(member_count_)) {}

  /// Bytes that one member reduces in one window; the stage of a window holds one slice for each
  /// member.
  size_t slice_bytes() const { return slice_bytes_; }
  size_t stage_bytes() const { return slice_bytes_ * member_count_; }
  /// Windows that have a stage and a result at the same time; a power of two, at least 2.
  uint64_t window_count() const { return window_count_; }
  size_t payload_bytes() const {
    return RoundUp(
        2 * sizeof(CountsPage) + all_small_bytes() + window_count_ * (stage_bytes() + slice_bytes_),
        4096);
  }
  /// 0 in larger groups.
  size_t small_ring_bytes() const {
    return member_count_ * kStagesBytes <= kSmallRingsBytes ? kStagesBytes : 0;
  }
  /// Up to here everybody writes its whole input and reduces all of them, after one barrier.
  size_t small_bytes() const {
    const size_t share = kSmallInputsBytes / member_count_ / 4096 * 4096;
    return share > kMinSmallBytes ? share : kMinSmallBytes;
  }
  size_t all_small_bytes() const { return 2 * small_bytes() + small_ring_bytes(); }
  /// A power of two.
  size_t lane_ring_bytes() const { return lane_ring_bytes_; }
  size_t total_bytes() const { return lane_offset(static_cast<int>(member_count_), 0); }

  size_t page_offset(int member) const {
    return sizeof(Control) + static_cast<size_t>(member) * sizeof(MemberPage);
  }
  size_t payload_offset(int member) const {
    return sizeof(Control) + member_count_ * sizeof(MemberPage) +
           static_cast<size_t>(member) * payload_bytes();
  }
  size_t counts_offset(int member, uint64_t seq) const {
    return payload_offset(member) + (seq & 1) * sizeof(CountsPage);
  }
  size_t small_offset(int member) const { return payload_offset(member) + 2 * sizeof(CountsPage); }
  size_t stage_offset(int member, uint64_t window) const {
    return small_offset(member) + all_small_bytes() + (window % window_count_) * stage_bytes();
  }
  size_t result_offset(int member, uint64_t window) const {
    return stage_offset(member, 0) + window_count_ * stage_bytes() +
           (window % window_count_) * slice_bytes_;
  }
  size_t lane_offset(int from, int to) const {
    const size_t index = static_cast<size_t>(from) * member_count_ + static_cast<size_t>(to);
    return payload_offset(static_cast<int>(member_count_)) +
           index * (2 * sizeof(LaneLine) + lane_ring_bytes_);
  }

 private:
  static size_t RoundUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }
  // All lanes together up to 16 MiB, touched as used.
  static size_t LaneRingBytes(size_t member_count) {
    size_t bytes = size_t{64} << 10;
    while (bytes > 4096 && bytes * member_count * member_count > size_t{16} << 20) bytes /= 2;
    return bytes;
  }
  static size_t SliceBytes(size_t member_count) {
    const size_t share = kMaxStageBytes / member_count;
    return (share < kMaxSliceBytes ? share : kMaxSliceBytes) / kCacheLine * kCacheLine;
  }

  static uint64_t WindowCount(size_t stage_bytes) {
    uint64_t count = kMaxWindows;
    while (count > 2 && count * stage_bytes > kStagesBytes) count /= 2;
    return count;
  }

  size_t member_count_;
  size_t slice_bytes_;
  uint64_t window_count_;
  size_t lane_ring_bytes_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_LAYOUT_H_
