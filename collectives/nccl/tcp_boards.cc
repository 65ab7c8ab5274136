// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/tcp_boards.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>

#include "collectives/host/tcp/tcp_end.h"
#include "collectives/host/tcp/tcp_meeting.h"
#include "collectives/host/tcp/tcp_members.h"
#include "collectives/nccl/board_bytes.h"

namespace lockstep::collectives {
namespace {

using Kind = PeerFact::Kind;

// A question that was lost with its connection is asked anew.
constexpr base::Duration kAskAgain = std::chrono::seconds(2);
// A member that waits for NCCL's id asks for it so often: that it was told, or its question, may
// have been lost with a connection to a process that paused, or was not there yet.
constexpr base::Duration kSeekEvery = std::chrono::milliseconds(500);
// Who left because of an error has told it, and that is the cause: it comes any moment.
constexpr base::Duration kErrorTime = std::chrono::milliseconds(500);

class TcpBoard final : public GroupBoard {
 public:
  /// `end` is registered at `service`.
  TcpBoard(std::shared_ptr<TcpService> service, std::shared_ptr<TcpEnd> end)
      : service_(std::move(service)),
        end_(std::move(end)),
        asked_(static_cast<size_t>(members().count())) {
    end_->SetCome(members().self());
    Seek();  // who was here first may have the invitation already
  }
  ~TcpBoard() override { Leave(); }

  void Invite(const Invitation& invitation) override {
    if (end_->notes().SetNotice(BytesOfInvitation(invitation))) service_->TellNotice(end_);
  }
  std::optional<Invitation> invitation() override {
    const std::optional<std::string> bytes = end_->notes().notice();
    if (!bytes.has_value()) {
      Seek();
      return std::nullopt;
    }
    const auto parsed = ParseInvitation(*bytes);
    return parsed.ok() ? std::optional(*parsed) : std::nullopt;
  }
  std::vector<int> NeverCame() const override {
    std::vector<int> missing;
    for (int member = 0; member < members().count(); ++member) {
      const PeerFact fact = end_->fact(member);
      const bool unknown = fact.kind == Kind::kLost && fact.loss == PeerFact::Loss::kUnknown;
      if (unknown && !end_->HasCome(member)) missing.push_back(member);
    }
    return missing;
  }
  bool Knows(const std::vector<int>& of, base::SteadyTime since) override;

  void PostCard(base::OpSeq seq, const CallCard& card) override {
    const std::string bytes = BytesOfCallCard(card);
    end_->notes().Put(members().self(), seq.value(), bytes);
    if (!left_.load(std::memory_order_acquire)) service_->SendNote(end_, seq.value());
  }
  std::optional<CallCard> Card(int member, base::OpSeq seq) const override {
    const std::optional<std::string> bytes = end_->notes().Get(member, seq.value());
    if (!bytes.has_value()) return std::nullopt;
    const auto card = ParseCallCard(*bytes);
    return card.ok() ? std::optional(*card) : std::nullopt;
  }
  void PostCalled(base::OpSeq last) override {
    end_->called_seq.store(last.value(), std::memory_order_release);
  }
  std::optional<base::OpSeq> Called(int member) const override;
  void PostLongPhase(base::SteadyTime until) override {
    end_->late_until_ns.store(until.time_since_epoch().count(), std::memory_order_release);
  }
  base::SteadyTime LongPhase(int member) const override {
    if (member != members().self()) return end_->fact(member).late_until;
    return base::SteadyTime(base::Duration(end_->late_until_ns.load(std::memory_order_acquire)));
  }
  void Leave() override;
  bool HasLeft(int member) const override {
    if (member == members().self()) return left_.load(std::memory_order_acquire);
    const PeerFact fact = end_->fact(member);
    return fact.kind == Kind::kLeft && (!fact.failed || clock_.Now() - fact.at >= kErrorTime);
  }
  std::optional<std::string> WhyLostSince(int member, base::SteadyTime since) const override {
    const PeerFact fact = end_->fact(member);
    if (fact.kind != Kind::kLost || fact.loss != PeerFact::Loss::kGone) return std::nullopt;
    return fact.at >= since ? std::optional(fact.reason) : std::nullopt;
  }

  bool IsSilent(int member) const override;
  std::optional<std::string> WhyUnasked(int member) const override {
    const PeerFact fact = end_->fact(member);
    if (!fact.is_our_trouble()) return std::nullopt;
    return fact.reason;
  }

  void PostError(const ErrorRecord& error) override {
    if (end_->SetError(error)) service_->TellError(end_);
  }
  std::optional<ErrorRecord> error() const override {
    if (!end_->poisoned()) return std::nullopt;  // without a lock, as nearly always
    return end_->error();
  }
  base::Subject SubjectOf(int member) const override { return members().SubjectOf(member); }

 private:
  const TcpMembers& members() const { return end_->members(); }
  void Seek();
  bool LooksAfter(int member) const {
    const int count = members().count();
    return (member - members().self() + count) % count <= TcpBoards::kAskedMax;
  }

  const std::shared_ptr<TcpService> service_;
  const std::shared_ptr<TcpEnd> end_;
  base::RealClock clock_;
  std::atomic<bool> left_{false};
  mutable std::mutex mutex_;
  struct Asked {
    base::SteadyTime last{};
    base::SteadyTime unanswered{};  // the first since it has answered
  };
  // Guarded by mutex_:
  std::vector<Asked> asked_;  // by member
  base::SteadyTime sought_{};
};

/// The invitation, of who has it before this member has.
void TcpBoard::Seek() {
  if (members().self() == 0 || left_.load(std::memory_order_acquire)) return;
  const base::SteadyTime now = clock_.Now();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (sought_ != base::SteadyTime() && now - sought_ < kSeekEvery) return;
    sought_ = now;
  }
  service_->Ask(end_, {TcpNotes::NoticeParentOf(members().self())});
}

bool TcpBoard::Knows(const std::vector<int>& of, base::SteadyTime since) {
  if (left_.load(std::memory_order_acquire)) return true;
  const base::SteadyTime now = clock_.Now();
  std::vector<int> to_ask;
  bool knows = true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const int member : of) {
      const PeerFact fact = end_->fact(member);
      if (!LooksAfter(member) || fact.Settles(since)) continue;
      Asked& asked = asked_[static_cast<size_t>(member)];
      if (asked.unanswered <= fact.at) asked.unanswered = now;
      // One at a time: when an earlier one has been answered it is asked anew.
      if (asked.last <= fact.at || now - asked.last >= kAskAgain) {
        asked.last = now;
        to_ask.push_back(member);
      }
      if (now - since < kAnswerTime) knows = false;
    }
  }
  if (!to_ask.empty()) service_->Ask(end_, std::move(to_ask));
  return knows;
}

std::optional<base::OpSeq> TcpBoard::Called(int member) const {
  if (member == members().self())
    return base::OpSeq(end_->called_seq.load(std::memory_order_acquire));
  const PeerFact fact = end_->fact(member);
  const bool unasked = fact.is_our_trouble();
  const bool unheard = fact.kind == Kind::kLost && fact.loss == PeerFact::Loss::kSilent;
  // Of one that has left the second says it.
  const base::OpSeq called(std::max(fact.called_seq, fact.completed_seq));
  if (fact.kind == Kind::kNothing || unasked || (unheard && called == base::OpSeq(0)))
    return std::nullopt;
  return called;
}

bool TcpBoard::IsSilent(int member) const {
  const PeerFact fact = end_->fact(member);
  if (fact.kind == Kind::kLeft) return false;
  if (fact.is_our_trouble()) return false;
  if (fact.kind == Kind::kLost && fact.loss == PeerFact::Loss::kSilent) return true;
  const std::lock_guard<std::mutex> lock(mutex_);
  const base::SteadyTime unanswered = asked_[static_cast<size_t>(member)].unanswered;
  return unanswered > fact.at && clock_.Now() - unanswered >= kAnswerTime / 2;
}

void TcpBoard::Leave() {
  if (left_.exchange(true, std::memory_order_acq_rel)) return;
  service_->Unregister(members().id(), members().spec().epoch, members().self(),
                       {.completed_seq = end_->called_seq.load(std::memory_order_acquire),
                        .failed = end_->poisoned()});
}

bool OnOneMachine(const std::vector<AddressCard>& cards) {
  return std::all_of(cards.begin(), cards.end(), [&cards](const AddressCard& card) {
    return card.memory >= 0 && card.memory == cards.front().memory;
  });
}

}  // namespace

base::Result<std::unique_ptr<GroupBoard>> TcpBoards::Open(const GroupSpec& spec,
                                                          const OpDeadline& deadline) {
  ASSIGN_OR_RETURN(Cards cards, MeetOverTcp(*service_, *exchange_, spec, deadline));
  Learn(spec, cards);
  if (!OnOneMachine(cards)) return BoardOf(spec, std::move(cards), true);
  service_->Unregister(spec.Id(), spec.epoch, spec.rank.value(), {});
  return memory_->Open(spec, deadline);
}

base::Result<std::unique_ptr<GroupBoard>> TcpBoards::OpenDerived(const GroupSpec& spec,
                                                                 const OpDeadline& deadline) {
  std::optional<Cards> cards = Known(spec);
  if (!cards.has_value()) return Open(spec, deadline);
  if (OnOneMachine(*cards)) return memory_->OpenDerived(spec, deadline);
  RETURN_IF_ERROR(service_->Reserve(spec.Id(), spec.epoch, spec.rank.value())
                      .WithFrame("joining group " + spec.name));
  return BoardOf(spec, *std::move(cards), false);
}

/// The service expects its members already.
std::unique_ptr<GroupBoard> TcpBoards::BoardOf(const GroupSpec& spec, Cards cards, bool all_came) {
  const auto end =
      std::make_shared<TcpEnd>(TcpMembers(spec, std::move(cards)), TcpEnd::Bells::kNone);
  for (int member = 0; all_came && member < end->members().count(); ++member) end->SetCome(member);
  service_->Register(end);
  return std::make_unique<TcpBoard>(service_, end);
}

std::optional<TcpBoards::Cards> TcpBoards::Known(const GroupSpec& spec) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (epoch_ != spec.epoch) return std::nullopt;
  Cards cards;
  for (const base::Rank rank : spec.world_ranks) {
    const auto place = known_.find(rank);
    if (place == known_.end()) return std::nullopt;
    cards.push_back(place->second);
  }
  return cards;
}

void TcpBoards::Learn(const GroupSpec& spec, const Cards& cards) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (epoch_ != spec.epoch) known_.clear();
  epoch_ = spec.epoch;
  for (size_t member = 0; member < cards.size(); ++member)
    known_.insert_or_assign(spec.world_ranks[member], cards[member]);
}

}  // namespace lockstep::collectives
