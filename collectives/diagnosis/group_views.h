// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_GROUP_VIEWS_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_GROUP_VIEWS_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "collectives/diagnosis/evidence.h"
#include "runtime/base/ids.h"

namespace lockstep::collectives {

struct GroupKey {
  base::GroupId id;
  base::Round epoch;
  auto operator<=>(const GroupKey&) const = default;
};

/// One group, put together from what its members' rings say. A value; borrows the evidence.
class GroupView {
 public:
  struct Member {
    base::Rank world;
    std::optional<base::GroupRank> place;
    /// Its collectives, by seq.
    std::map<base::OpSeq, const SeenOp*> ops;
    /// Its sends and receives: the last seq to and from each place.
    std::map<int, base::OpSeq> last_send, last_recv;
    std::optional<base::OpSeq> last;  // collective that it has called; joining is number 0
    bool heard = false;
    bool overflowed = false;
  };

  const std::vector<Member>& members() const { return members_; }  // by world rank
  const Member* Find(base::Rank world) const;
  const Member* At(int place) const;
  /// Members that nobody has named: in the group, by its size.
  int unnamed() const { return unnamed_; }
  /// Who may be those: ranks whose ring could not be read or, if there are none, all others.
  const std::vector<base::Rank>& maybe_members() const { return maybe_members_; }

 private:
  friend class GroupViews;
  std::vector<Member> members_;
  std::map<int, size_t> by_place_;  // into members_
  /// As applied last: who is in it has its place in it.
  const MemberList* named_ = nullptr;
  int size_ = 0;
  int unnamed_ = 0;
  std::vector<base::Rank> maybe_members_;
};

/// All groups of the evidence, which it borrows. Near linear in the evidence where the members of a
/// group name the same ones. Confined to its maker.
class GroupViews {
 public:
  explicit GroupViews(const Evidence& evidence);

  const std::map<GroupKey, GroupView>& all() const { return all_; }
  const GroupView* Find(const GroupKey& key) const;

 private:
  void AddNamed(const SeenRank& rank);
  void AddOps(const SeenRank& rank);
  void Complete(GroupView& view, const Evidence& evidence,
                const std::map<base::Rank, const SeenRank*>& ranks);
  static GroupView::Member& MemberOf(GroupView& view, base::Rank world);
  static void AddMembers(GroupView& view, std::vector<base::Rank> worlds);

  std::map<GroupKey, GroupView> all_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_GROUP_VIEWS_H_
