// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_HOST_WIDE_PLACEMENT_H_
#define LOCKSTEP_COLLECTIVES_HOST_WIDE_PLACEMENT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lockstep::collectives {

/// Which members of a group live on which machine, as one of them sees it: machines in the order of
/// their lowest members, the members of each in rank order. Equal on all members but for which are
/// this one's. A value, const once made; callable from any thread.
///
/// Example, 5 members of which 0, 1 and 4 are on one machine: machines {0, 1, 4} and {2, 3}; not
/// even, not in blocks.
class Placement {
 public:
  /// `memory`: by member, equal exactly for those who share memory; negative = with nobody.
  Placement(const std::vector<int32_t>& memory, int self);

  int member_count() const { return static_cast<int>(machine_of_.size()); }
  int machine_count() const { return static_cast<int>(machines_.size()); }
  const std::vector<int>& machine(int machine) const {
    return machines_[static_cast<size_t>(machine)];
  }
  int machine_of(int member) const { return machine_of_[static_cast<size_t>(member)]; }
  /// Its place among the members of its machine.
  int index_of(int member) const { return index_of_[static_cast<size_t>(member)]; }
  /// Members on the fullest machine.
  int largest() const { return largest_; }

  /// As many members on each machine.
  bool even() const { return even_; }
  /// The members of each machine follow each other.
  bool in_blocks() const { return in_blocks_; }

  // This member's.
  int mine() const { return machine_of(self_); }
  int index() const { return index_of(self_); }
  const std::vector<int>& neighbors() const { return machine(mine()); }  // with itself
  int self() const { return self_; }

  /// The members with that place on each machine; where there are fewer, the first ones.
  std::vector<int> Across(int index) const;

 private:
  const int self_;
  std::vector<std::vector<int>> machines_;
  std::vector<int> machine_of_;  // by member
  std::vector<int> index_of_;    // by member
  int largest_ = 0;
  bool even_ = true;
  bool in_blocks_ = true;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_HOST_WIDE_PLACEMENT_H_
