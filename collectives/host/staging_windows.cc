// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/host/staging_windows.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace lockstep::collectives {
namespace {

uint64_t WindowCount(size_t total, size_t of_one) { return (total + of_one - 1) / of_one; }

}  // namespace

/// Which part of an op each member reduces in each window: slice_bytes, in the last window its even
/// share.
class StagingWindows::Slices {
 public:
  struct Slice {
    size_t offset;  // bytes, in the caller's buffers
    size_t count;   // elements
  };

  Slices(const Op& op, const HostMembers& members)
      : member_count_(static_cast<size_t>(members.count())),
        count_(op.count),
        unit_(DtypeBytes(op.dtype)),
        window_elements_(members.layout().slice_bytes() / unit_ * member_count_) {}

  size_t unit() const { return unit_; }
  uint64_t window_count() const { return WindowCount(count_, window_elements_); }
  Slice Of(uint64_t window, size_t member) const {
    const size_t begin = static_cast<size_t>(window) * window_elements_;
    const size_t length = std::min(window_elements_, count_ - begin);
    const size_t share = (length + member_count_ - 1) / member_count_;
    const size_t from = std::min(member * share, length);
    return {(begin + from) * unit_, std::min(share, length - from)};
  }

 private:
  const size_t member_count_;
  const size_t count_;
  const size_t unit_;
  const size_t window_elements_;
};

uint64_t StagingWindows::Take(uint64_t window_count) {
  const uint64_t first = next_window_;
  next_window_ += window_count;
  return first;
}

void StagingWindows::Publish(Counter counter, uint64_t value) {
  (members_.mine().progress.*counter).store(value, std::memory_order_release);
  members_.WakeSleepers();
}

// Three stages run one window apart, so that nobody waits for a neighbour that has only just begun:
// stage w+2 | reduce w+1 | gather w. A stage buffer is free for window w once everybody has reduced
// w-2, a result buffer once everybody has gathered w-2.
bool StagingWindows::Reduce(const Op& op, ReduceKernel kernel, const AwaitPeers& await) {
  const Slices slices(op, members_);
  const uint64_t window_count = slices.window_count();
  const uint64_t base = Take(window_count);
  const auto all = [&](Counter counter, uint64_t target) {
    return await(counter, target, 0, members_.count());
  };
  for (uint64_t step = 0; step < window_count + 2; ++step) {
    if (step < window_count) {
      const uint64_t number = base + step;
      if (!all(&ProgressLine::reduced, number - 1)) return false;
      StageForOthers(op, slices, step, number);
    }
    if (step >= 1 && step - 1 < window_count) {
      const uint64_t number = base + step - 1;
      if (!all(&ProgressLine::staged, number + 1)) return false;
      if (!all(&ProgressLine::gathered, number - 1)) return false;
      ReduceOwn(op, kernel, slices, step - 1, number);
    }
    if (step >= 2) {
      const uint64_t number = base + step - 2;
      if (!all(&ProgressLine::reduced, number + 1)) return false;
      TakeResults(op, slices, step - 2, number);
    }
  }
  return true;
}

void StagingWindows::StageForOthers(const Op& op, const Slices& slices, uint64_t window,
                                    uint64_t number) {
  std::byte* const stage = members_.stage(members_.self(), number);
  for (int member = 0; member < members_.count(); ++member) {
    if (member == members_.self()) continue;
    const auto index = static_cast<size_t>(member);
    const Slices::Slice slice = slices.Of(window, index);
    std::memcpy(stage + index * members_.layout().slice_bytes(), op.in + slice.offset,
                slice.count * slices.unit());
  }
  Publish(&ProgressLine::staged, number + 1);
}

/// In rank order; this member's input is never staged.
void StagingWindows::ReduceOwn(const Op& op, ReduceKernel kernel, const Slices& slices,
                               uint64_t window, uint64_t number) {
  const auto self = static_cast<size_t>(members_.self());
  const Slices::Slice slice = slices.Of(window, self);
  std::array<const std::byte*, kMaxHostMembers> inputs;
  for (int member = 0; member < members_.count(); ++member) {
    inputs[static_cast<size_t>(member)] =
        member == members_.self()
            ? op.in + slice.offset
            : members_.stage(member, number) + self * members_.layout().slice_bytes();
  }
  std::byte* const result = members_.result(members_.self(), number);
  kernel(result, inputs.data(), members_.count(), slice.count);
  Publish(&ProgressLine::reduced, number + 1);
  std::memcpy(op.out + slice.offset, result, slice.count * slices.unit());
}

void StagingWindows::TakeResults(const Op& op, const Slices& slices, uint64_t window,
                                 uint64_t number) {
  for (int member = 0; member < members_.count(); ++member) {
    if (member == members_.self()) continue;
    const Slices::Slice slice = slices.Of(window, static_cast<size_t>(member));
    std::memcpy(op.out + slice.offset, members_.result(member, number),
                slice.count * slices.unit());
  }
  Publish(&ProgressLine::gathered, number + 1);
}

// A window is one stage full of each member's input.
bool StagingWindows::Gather(const Op& op, const AwaitPeers& await) {
  const size_t total = op.bytes();
  const size_t window_bytes = members_.layout().stage_bytes();
  const uint64_t window_count = WindowCount(total, window_bytes);
  const uint64_t base = Take(window_count);
  const int self = members_.self();
  std::byte* const own = op.out + static_cast<size_t>(self) * total;
  if (own != op.in) std::memcpy(own, op.in, total);

  for (uint64_t step = 0; step < window_count + 1; ++step) {
    if (step < window_count) {
      const uint64_t number = base + step;
      const size_t begin = static_cast<size_t>(step) * window_bytes;
      if (!await(&ProgressLine::reduced, number - 1, 0, members_.count())) return false;
      std::memcpy(members_.stage(self, number), op.in + begin,
                  std::min(window_bytes, total - begin));
      Publish(&ProgressLine::staged, number + 1);
    }
    if (step >= 1) {
      const uint64_t number = base + step - 1;
      const size_t begin = static_cast<size_t>(step - 1) * window_bytes;
      if (!await(&ProgressLine::staged, number + 1, 0, members_.count())) return false;
      for (int member = 0; member < members_.count(); ++member) {
        if (member == self) continue;
        std::memcpy(op.out + static_cast<size_t>(member) * total + begin,
                    members_.stage(member, number), std::min(window_bytes, total - begin));
      }
      Publish(&ProgressLine::gathered, number + 1);
      Publish(&ProgressLine::reduced, number + 1);
    }
  }
  return true;
}

bool StagingWindows::Broadcast(const Op& op, const AwaitPeers& await) {
  const size_t total = op.bytes();
  const size_t window_bytes = members_.layout().stage_bytes();
  const uint64_t window_count = WindowCount(total, window_bytes);
  const uint64_t base = Take(window_count);
  for (uint64_t step = 0; step < window_count; ++step) {
    const uint64_t number = base + step;
    const size_t begin = static_cast<size_t>(step) * window_bytes;
    const size_t bytes = std::min(window_bytes, total - begin);
    if (op.root == members_.self()) {
      if (!await(&ProgressLine::reduced, number - 1, 0, members_.count())) return false;
      std::memcpy(members_.stage(op.root, number), op.in + begin, bytes);
    } else {
      if (!await(&ProgressLine::staged, number + 1, op.root, op.root + 1)) return false;
      std::memcpy(op.out + begin, members_.stage(op.root, number), bytes);
    }
    // The others' counters move too: the next op's windows continue from here on every member.
    Publish(&ProgressLine::staged, number + 1);
    Publish(&ProgressLine::gathered, number + 1);
    Publish(&ProgressLine::reduced, number + 1);
  }
  return true;
}

}  // namespace lockstep::collectives
