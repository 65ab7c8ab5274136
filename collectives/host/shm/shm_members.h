// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_MEMBERS_H_
#define LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_MEMBERS_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collectives/host/shm/segment.h"
#include "collectives/host/shm/shm_layout.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"

namespace lockstep::collectives {

/// The members of a host group as one of them sees them: who they are, and what of the shared
/// memory (host_layout.h) is whose. One in each ShmBackend, which owns it.
///
///   absent --Enter()--> joined --destruction--> left: those that need this member fail at once
///
/// Threads: Enter() and destruction while nobody else calls; Populate*() one; all others from any.
class ShmMembers {
 public:
  struct Config {
    std::string job;
    std::string host;  // for errors
    std::string group_name;
    base::GroupId group;
    base::Round epoch;
    base::Incarnation incarnation;
    int member = 0;
    std::vector<base::Rank> world_ranks;  // by member
  };
  using Set = std::bitset<kMaxShmMembers>;

  ShmMembers(Config config, std::shared_ptr<Segment> segment, ShmLayout layout);
  ~ShmMembers();
  ShmMembers(const ShmMembers&) = delete;
  ShmMembers& operator=(const ShmMembers&) = delete;

  /// Takes this member's place and says who it is.
  /// Errors: AlreadyExists - another process holds the place; FailedPrecondition - this member was
  /// in the group and has left it.
  base::Status Enter();
  /// When all have entered. Errors: FailedPrecondition - members are of another job, group, epoch
  /// or layout.
  base::Status CheckCards() const;
  /// Of all members together, by their affinity masks.
  int CpuCount() const;

  const Config& config() const { return config_; }
  const ShmLayout& layout() const { return layout_; }
  int count() const { return count_; }
  int self() const { return config_.member; }

  Control& control() const { return *control_; }
  MemberPage& page(int member) const {
    return *reinterpret_cast<MemberPage*>(segment_->data() + layout_.page_offset(member));
  }
  MemberPage& mine() const { return page(config_.member); }
  CountsPage& counts(int member, uint64_t seq) const {
    return *reinterpret_cast<CountsPage*>(segment_->data() + layout_.counts_offset(member, seq));
  }
  /// The two ends and the ring of the lane between two members.
  LaneLine* lane(int from, int to) const {
    return reinterpret_cast<LaneLine*>(segment_->data() + layout_.lane_offset(from, to));
  }
  /// all_small_bytes() of them.
  std::byte* small(int member) const { return segment_->data() + layout_.small_offset(member); }
  std::byte* stage(int member, uint64_t window) const {
    return segment_->data() + layout_.stage_offset(member, window);
  }
  std::byte* result(int member, uint64_t window) const {
    return segment_->data() + layout_.result_offset(member, window);
  }

  /// Bring this member's part of these into memory, when called for the first time: one op then
  /// takes 1 to 2 ms longer, and not each of the hundreds until everything was touched once, by
  /// which the ways of writing would be misjudged.
  void PopulateSmall();
  void PopulateStages();

  bool HasLeft(int member) const {
    return page(member).card.state.load(std::memory_order_acquire) == MemberState::kLeft;
  }
  /// Whether `member` has declared a long phase that is not over.
  bool MayBeLate(int member) const;
  /// After each store that somebody may sleep for.
  void WakeSleepers() const;

  /// NameMembers() of this group.
  std::string Describe(const Set& members) const;
  base::Subject SubjectOf(int member, std::string call_site) const;

 private:
  base::Status PlaceTaken(MemberState state) const;

  const Config config_;
  const std::shared_ptr<Segment> segment_;  // shared with members that are threads of this process
  const ShmLayout layout_;
  const int count_;
  Control* const control_;
  bool small_populated_ = false;
  bool stages_populated_ = false;
  uint64_t probe_ = 0;  // what the others read to find out whether they may
  bool entered_ = false;
};

/// A text field of the shared memory: another process wrote it, and it ends at the field's end at
/// the latest.
std::string ReadSharedText(const char* text, size_t capacity);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_SHM_SHM_MEMBERS_H_
