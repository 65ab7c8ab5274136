// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/segment_boards.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "collectives/engine/error_record.h"

namespace lockstep::collectives {
namespace {

enum : uint32_t { kNothing = 0, kBeingWritten = 1, kWritten = 2 };

/// Of Head, Place and CallCard. In the first word of every layout.
constexpr uint32_t kBoardLayout = 1;

/// Fresh memory is zero, which is the valid first state.
struct Head {
  std::atomic<uint32_t> layout;   // 0 = nobody was here
  std::atomic<uint32_t> invited;  // kNothing .. kWritten
  GroupBoard::Invitation invitation;
  std::atomic<uint64_t> failed_from;  // the first collective that must fail; 0 = none
  std::atomic<uint32_t> failed;       // kNothing .. kWritten
  uint32_t error_bytes;
  std::byte error[kErrorBytesMax];  // EncodeError's
};

struct alignas(64) Place {
  std::atomic<uint32_t> came;
  std::atomic<uint32_t> left;
  std::atomic<uint64_t> called;
  std::atomic<int64_t> long_phase_ns;
  int64_t pid;  // these two before came
  char host[64];
  // Pages that nobody touches, where calls are not compared.
  CallCard cards[GroupBoard::kCardsKept];
};

// Other processes write it: what they wrote is cut to its place.
std::string TextOf(const char* text, size_t capacity) {
  return std::string(text, strnlen(text, capacity));
}

void CopyText(const std::string& text, char* to, size_t capacity) {
  const size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

/// Says that this member's layout is kBoardLayout; false where others have said another one.
bool AgreesOnLayout(const Segment& segment) {
  uint32_t said = 0;
  return reinterpret_cast<Head*>(segment.data())
             ->layout.compare_exchange_strong(said, kBoardLayout) ||
         said == kBoardLayout;
}

class SegmentBoard final : public GroupBoard {
 public:
  SegmentBoard(const GroupSpec& spec, std::shared_ptr<Segment> segment)
      : spec_(spec), segment_(std::move(segment)) {
    Place& mine = place(spec_.rank.value());
    mine.pid = getpid();
    CopyText(spec_.host, mine.host, sizeof mine.host);
    mine.came.store(1, std::memory_order_release);
  }

  static size_t Bytes(int members) {
    return sizeof(Head) + alignof(Place) + static_cast<size_t>(members) * sizeof(Place);
  }

  void Invite(const Invitation& invitation) override {
    head().invitation = invitation;
    head().invited.store(kWritten, std::memory_order_release);
  }
  std::optional<Invitation> invitation() override {
    if (head().invited.load(std::memory_order_acquire) != kWritten) return std::nullopt;
    return head().invitation;
  }
  std::vector<int> NeverCame() const override {
    std::vector<int> missing;
    for (int member = 0; member < size(); ++member) {
      if (place(member).came.load(std::memory_order_acquire) == 0) missing.push_back(member);
    }
    return missing;
  }

  bool Knows(const std::vector<int>&, base::SteadyTime) override { return true; }

  void PostCard(base::OpSeq seq, const CallCard& card) override {
    place(spec_.rank.value()).cards[seq.value() % kCardsKept] = card;
  }
  std::optional<CallCard> Card(int member, base::OpSeq seq) const override {
    if (place(member).called.load(std::memory_order_acquire) < seq.value()) return std::nullopt;
    return place(member).cards[seq.value() % kCardsKept];
  }
  void PostCalled(base::OpSeq last) override {
    place(spec_.rank.value()).called.store(last.value(), std::memory_order_release);
  }
  std::optional<base::OpSeq> Called(int member) const override {
    return base::OpSeq(place(member).called.load(std::memory_order_acquire));
  }
  void PostLongPhase(base::SteadyTime until) override {
    place(spec_.rank.value())
        .long_phase_ns.store(until.time_since_epoch().count(), std::memory_order_release);
  }
  base::SteadyTime LongPhase(int member) const override {
    return base::SteadyTime(
        base::Duration(place(member).long_phase_ns.load(std::memory_order_acquire)));
  }
  void Leave() override { place(spec_.rank.value()).left.store(1, std::memory_order_release); }
  bool HasLeft(int member) const override {
    return place(member).left.load(std::memory_order_acquire) != 0;
  }

  std::optional<std::string> WhyLostSince(int, base::SteadyTime) const override {
    return std::nullopt;
  }
  bool IsSilent(int) const override { return false; }
  std::optional<std::string> WhyUnasked(int) const override { return std::nullopt; }

  void PostError(const ErrorRecord& error) override {
    std::atomic<uint64_t>& from = head().failed_from;
    uint64_t before = from.load();
    while ((before == 0 || error.from_seq < before) &&
           !from.compare_exchange_weak(before, error.from_seq)) {
    }
    const std::vector<std::byte> bytes = EncodeError(error);
    uint32_t nothing = kNothing;
    if (!head().failed.compare_exchange_strong(nothing, kBeingWritten)) return;
    head().error_bytes = static_cast<uint32_t>(bytes.size());
    std::copy(bytes.begin(), bytes.end(), head().error);
    head().failed.store(kWritten, std::memory_order_release);
  }
  std::optional<ErrorRecord> error() const override {
    if (head().failed.load(std::memory_order_acquire) != kWritten) return std::nullopt;
    const size_t size_of_it = std::min<size_t>(head().error_bytes, kErrorBytesMax);
    // A copy: what is looked at changes no more.
    const std::vector<std::byte> bytes(head().error, head().error + size_of_it);
    base::Result<ErrorRecord> record = ParseError(bytes, size());
    if (!record.ok()) {
      return ErrorRecord{.code = base::Code::kDataLoss,
                         .message = "the shared memory of group " + spec_.name +
                                    " holds no error where one should be: a member's process "
                                    "wrote over it"};
    }
    record->from_seq = std::min(record->from_seq, head().failed_from.load());
    return *std::move(record);
  }

  base::Subject SubjectOf(int member) const override {
    base::Subject subject{.job = spec_.job, .rank = spec_.world_ranks[static_cast<size_t>(member)]};
    const Place& their = place(member);
    if (their.came.load(std::memory_order_acquire) != 0) {
      subject.pid = their.pid;
      subject.host = TextOf(their.host, sizeof their.host);
    }
    return subject;
  }

 private:
  int size() const { return static_cast<int>(spec_.world_ranks.size()); }
  Head& head() const { return *reinterpret_cast<Head*>(segment_->data()); }
  Place& place(int member) const {
    const size_t first = (sizeof(Head) + alignof(Place) - 1) / alignof(Place) * alignof(Place);
    return reinterpret_cast<Place*>(segment_->data() + first)[member];
  }

  const GroupSpec spec_;
  const std::shared_ptr<Segment> segment_;  // with the members that are threads of this process
};

}  // namespace

base::Result<std::unique_ptr<GroupBoard>> SegmentBoards::Open(const GroupSpec& spec,
                                                              const OpDeadline& deadline) {
  const int members = static_cast<int>(spec.world_ranks.size());
  ASSIGN_OR_RETURN(std::shared_ptr<Segment> segment,
                   segments_->Open({.group = spec.Id(),
                                    .epoch = spec.epoch,
                                    .member_count = members,
                                    .member_index = spec.rank.value(),
                                    .bytes = SegmentBoard::Bytes(members)},
                                   std::max(deadline.Left(), base::Duration(0))));
  if (!AgreesOnLayout(*segment)) {
    return base::FailedPreconditionError(
        "joining group " + spec.name +
        ": a member of this machine is of another release, whose boards have another layout than " +
        std::to_string(kBoardLayout) + "; start all ranks with one release");
  }
  return std::unique_ptr<GroupBoard>(std::make_unique<SegmentBoard>(spec, std::move(segment)));
}

}  // namespace lockstep::collectives
