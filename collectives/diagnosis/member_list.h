// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_MEMBER_LIST_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_MEMBER_LIST_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "runtime/base/ids.h"

namespace lockstep::collectives {

/// World ranks by group rank. As every member of a group has one of all members, those that are
/// evenly spaced, as most are, take no memory and are compared at once. A value; any thread.
class MemberList {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = base::Rank;
    using difference_type = ptrdiff_t;
    using pointer = void;
    using reference = base::Rank;

    Iterator(const MemberList& list, size_t place) : list_(&list), place_(place) {}
    base::Rank operator*() const { return (*list_)[place_]; }
    Iterator& operator++() {
      ++place_;
      return *this;
    }
    ptrdiff_t operator-(const Iterator& other) const {
      return static_cast<ptrdiff_t>(place_) - static_cast<ptrdiff_t>(other.place_);
    }
    bool operator==(const Iterator&) const = default;

   private:
    const MemberList* list_;
    size_t place_;
  };

  MemberList() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): it is one, whatever is in it
  MemberList(const std::vector<base::Rank>& ranks);
  /// first, first + stride, and so on, `size` of them, all of which are ranks.
  static MemberList Spaced(base::Rank first, int64_t stride, size_t size);

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  base::Rank operator[](size_t place) const {
    if (!uneven_.empty()) return uneven_[place];
    return base::Rank(static_cast<int32_t>(first_ + stride_ * static_cast<int64_t>(place)));
  }
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size_}; }
  void clear() { *this = {}; }
  bool operator==(const MemberList&) const = default;

 private:
  size_t size_ = 0;
  int64_t first_ = 0, stride_ = 0;  // 0, too, of fewer than two
  std::vector<base::Rank> uneven_;  // empty: they are evenly spaced
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_MEMBER_LIST_H_
