// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_SIDES_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_SIDES_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace lockstep::collectives {

/// Who is to blame where members should have the same and have not: who is not with the majority,
/// and everybody where there is none. All members that judge the same keys come to the same. A
/// value.
class Sides {
 public:
  /// `keys`: by member what it has; at least one member.
  explicit Sides(std::span<const uint64_t> keys);

  /// Members that have the same, in their order; the largest side first, else whose first member
  /// is.
  const std::vector<std::vector<int>>& all() const { return all_; }
  bool has_majority() const { return all_.size() < 2 || all_[0].size() > all_[1].size(); }
  /// Members, side by side.
  std::vector<int> Blamed() const;

  /// "ranks 0, 2 called X; rank 1 called Y", of more than four how many more there are, and that
  /// there is no majority where there is none.
  /// `names` members; `call_of` says what one of them called, and where.
  std::string DescribeCalls(const std::function<std::string(const std::vector<int>&)>& names,
                            const std::function<std::string(int member)>& call_of) const;

 private:
  std::vector<std::vector<int>> all_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_SIDES_H_
