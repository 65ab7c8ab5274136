// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_group.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "collectives/engine/member_names.h"

namespace lockstep::collectives {
namespace {

using Kind = ControlMessage::Kind;

// The engine's thread needs a core more than the one that waits: a few looks, then sleep.
constexpr int kYields = 5;
// A deadline's keeper looks at the clock this often (AwakeClock).
constexpr base::Duration kLook = std::chrono::milliseconds(10);
// Engines answer within 10 ms; a machine that is too busy for this makes an error less precise.
constexpr base::Duration kAnswerTime = std::chrono::milliseconds(400);

}  // namespace

MpiGroup::MpiGroup(MpiEngine& engine, GroupSpec spec)
    : engine_(engine),
      spec_(std::move(spec)),
      key_{spec_.Id().value(), spec_.epoch.value()},
      size_(static_cast<int>(spec_.world_ranks.size())),
      self_(spec_.rank.value()),
      members_(spec_.world_ranks.size()) {}

// ----------------------------------------------------------------------------------------- joining

base::Result<std::shared_ptr<MpiGroup>> MpiGroup::Join(MpiEngine& engine, GroupSpec spec,
                                                       const OpDeadline& deadline) {
  const auto group = std::make_shared<MpiGroup>(engine, std::move(spec));
  std::vector<int> world_ranks;
  for (const base::Rank rank : group->spec_.world_ranks) world_ranks.push_back(rank.value());
  ControlMessage here = group->MakeMessage(Kind::kHere);
  here.pid = getpid();
  here.SetText(group->spec_.host);
  group->SendToOthers(here);
  engine.Open(group->MakeMessage(Kind::kReady), group, std::move(world_ranks));
  RETURN_IF_ERROR(group->AwaitMembers(deadline));
  return group;
}

base::Status MpiGroup::AwaitMembers(const OpDeadline& deadline) {
  Lock lock(mutex_);
  members_[static_cast<size_t>(self_)] = {
      .came = true, .pid = getpid(), .host = spec_.host, .farewell = {}, .told = {}};
  for (bool asked = false;;) {
    if (comm_.has_value()) {
      left_ = !comm_->ok();
      // It failed on a member that has died, of which the word is on its way.
      if (left_ && engine_.outlives_ranks())
        changed_.wait_for(lock, kAnswerTime, [this] { return error_.has_value(); });
      return left_ && error_.has_value() ? error_->status : *comm_;
    }
    const base::Duration left = deadline.Left();
    if (left.count() <= 0 && !std::exchange(asked, true) && NeverCame().empty()) {
      AskOthers(lock, [this] { return error_.has_value() || comm_.has_value(); });
      continue;
    }
    if (error_.has_value() || left.count() <= 0) return GiveUpJoining(lock, deadline);
    changed_.wait_for(lock, std::min(left, kLook));
  }
}

// Who came and does not answer any more has stopped since.
base::Status MpiGroup::GiveUpJoining(Lock& lock, const OpDeadline& deadline) {
  left_ = true;
  const bool late = !error_.has_value();
  const std::string within = " within " + base::FormatDuration(deadline.due().timeout);
  std::vector<int> missing = NeverCame();
  std::string why;
  if (!missing.empty()) {
    why = DescribeMembers(missing) + " never came" + within;
  } else if (engine_.IsHeld()) {
    why = "all members came, but" + within + " " + HeldText();
  } else if (missing = Silent(); !missing.empty()) {
    why = "all members came, but were not connected" + within + ": " + DescribeMembers(missing) +
          " did not answer: stopped or dead";
  } else if (go_) {
    why = "all members came and answer, but MPI did not connect them" + within;
  } else {
    why =
        "all members came, but rank 0 of the world, which orders the making of groups, did not "
        "let them begin" +
        within + "; is it stopped, or a member of a group that is made before?";
  }
  lock.unlock();
  engine_.Withdraw(MakeMessage(Kind::kWithdraw));
  if (!late) return error();
  return Publish(base::DeadlineExceededError("joining group " + spec_.name + ": " + why)
                     .WithClass(base::FailureClass::kPeerStalled),
                 nullptr, missing);
}

std::vector<int> MpiGroup::NeverCame() const {
  std::vector<int> missing;
  for (int member = 0; member < size_; ++member) {
    if (!members_[static_cast<size_t>(member)].came) missing.push_back(member);
  }
  return missing;
}

void MpiGroup::OnGo() {
  const Lock lock(mutex_);
  go_ = true;
}

void MpiGroup::OnComm(base::Status status) {
  {
    const Lock lock(mutex_);
    comm_ = std::move(status);
    changed_.notify_all();
    if (!left_) return;
  }
  SendToOthers(MakeMessage(Kind::kLeft));  // they have what this member had given up
}

void MpiGroup::Leave(const std::shared_ptr<MpiGroup>& self, const std::vector<uint64_t>& sends,
                     const std::vector<uint64_t>& receives) {
  ControlMessage message = MakeMessage(Kind::kLeft);
  std::optional<ControlMessage> why;
  {
    const Lock lock(mutex_);
    left_ = true;
    sends_ = sends;
    receives_ = receives;
    message.seq = done_;
    if (error_.has_value()) why = error_->message;
  }
  // Whoever hears of this member's leaving before it hears of the error would blame this member.
  if (why.has_value()) SendToOthers(*why);
  for (int member = 0; member < size_; ++member) {
    if (member == self_) continue;
    message.sends = sends[static_cast<size_t>(member)];
    message.receives = receives[static_cast<size_t>(member)];
    SendTo(member, message);
  }
  engine_.CancelReceives(self);
}

bool MpiGroup::over() const {
  const Lock lock(mutex_);
  if (!left_) return false;
  for (int member = 0; member < size_; ++member) {
    if (member != self_ && !members_[static_cast<size_t>(member)].farewell.has_value())
      return false;
  }
  return true;
}

bool MpiGroup::drained() const {
  const Lock lock(mutex_);
  if (error_.has_value()) return false;
  for (size_t member = 0; member < members_.size(); ++member) {
    if (static_cast<int>(member) == self_) continue;
    const Farewell& farewell = *members_[member].farewell;
    if (farewell.sends != receives_[member] || farewell.receives != sends_[member]) return false;
  }
  return true;
}

// ------------------------------------------------------------------------------------------ an op

base::Status MpiGroup::Begin(base::OpSeq seq) {
  const Lock lock(mutex_);
  RETURN_IF_ERROR(ErrorFor(seq.value()));
  if (interrupted_) return LeavingError();
  begun_ = seq.value();
  return base::OkStatus();
}

void MpiGroup::Done(base::OpSeq seq) {
  const Lock lock(mutex_);
  done_ = seq.value();
}

base::Status MpiGroup::ErrorFor(uint64_t seq) const {
  if (!error_.has_value() || seq < error_->from) return base::OkStatus();
  const base::Status& root = error_->status;
  // The op that the error is about fails with the error itself, also on a member that comes to it
  // late.
  if (root.op().has_value() && root.op()->seq.value() == seq) return root;
  // So does what was in flight when a member died.
  if (root.failure_class() == base::FailureClass::kPeerDead && seq <= begun_) return root;
  return FailedBefore(root);
}

base::Status MpiGroup::Await(const MpiCall& call, const Running& run) {
  for (int yields = 0; yields < kYields && !call.done(); ++yields) sched_yield();
  const uint64_t seq = run.seq.value();
  Lock lock(mutex_);
  while (!call.done()) {
    RETURN_IF_ERROR(ErrorFor(seq));
    if (interrupted_) return LeavingError();
    if (const std::vector<int> left = LeftBefore(seq); !left.empty()) {
      lock.unlock();
      return Publish(base::UnavailableError(DescribeRunning(run) + ": " + DescribeMembers(left) +
                                            " left the group without ending it")
                         .WithClass(base::FailureClass::kPeerDead),
                     &run, left);
    }
    const base::Duration time_left = run.watch.deadline.Left();
    if (time_left.count() <= 0 && clock_.Now() >= wait_until_) {
      RETURN_IF_ERROR(Expire(lock, call, run));
      continue;
    }
    changed_.wait_for(lock, time_left.count() > 0 ? std::min(time_left, kLook) : kLook);
  }
  lock.unlock();
  if (call.status().ok()) return base::OkStatus();
  return Publish(call.status().WithFrame(DescribeRunning(run)), &run, {});
}

base::Status MpiGroup::Expire(Lock& lock, const MpiCall& call, const Running& run) {
  const auto is_over = [&] {
    return call.done() || interrupted_ || !ErrorFor(run.seq.value()).ok();
  };
  AskOthers(lock, is_over);
  if (is_over()) return base::OkStatus();
  if (engine_.IsHeld()) {
    const base::Status error = base::DeadlineExceededError(DescribeExpiry(run) + HeldText())
                                   .WithClass(base::FailureClass::kTimeoutUnknown);
    lock.unlock();
    base::Status first = Publish(error, &run, {});
    lock.lock();
    return first;
  }
  const std::vector<int> missing = Missing(run.seq.value());
  int64_t late_ns = 0;
  for (const int member : missing) {
    const auto& answer = members_[static_cast<size_t>(member)].told;
    if (!answer.has_value() || answer->late_ns <= 0) {
      late_ns = 0;
      break;
    }
    late_ns = std::max(late_ns, answer->late_ns);
  }
  if (late_ns > 0) {
    wait_until_ = clock_.Now() + base::Duration(late_ns);
    return base::OkStatus();
  }
  const base::Status error = ExpiryError(run, missing);
  lock.unlock();
  base::Status first = Publish(error, &run, missing);
  lock.lock();
  return first;
}

template <class Stop>
void MpiGroup::AskOthers(Lock& lock, const Stop& stop) {
  for (Member& member : members_) member.told.reset();
  lock.unlock();
  SendToOthers(MakeMessage(Kind::kAsk));
  lock.lock();
  const base::SteadyTime until = clock_.Now() + kAnswerTime;
  while (!Silent().empty() && !stop()) {
    if (changed_.wait_until(lock, until) == std::cv_status::timeout) return;
  }
}

std::vector<int> MpiGroup::Silent() const {
  std::vector<int> silent;
  for (int member = 0; member < size_; ++member) {
    if (member != self_ && !members_[static_cast<size_t>(member)].told.has_value())
      silent.push_back(member);
  }
  return silent;
}

/// That MPI does nothing for this process.
std::string MpiGroup::HeldText() const {
  return engine_.version() +
         " does not return from making the communicator of a group on this rank, of which a member "
         "is stopped or dead";
}

std::string MpiGroup::DescribeExpiry(const Running& run) const {
  const OpDeadline::Due due = run.watch.deadline.due();
  const std::string timeout = base::FormatDuration(due.timeout);
  return DescribeRunning(run) +
         (due.seq == run.seq
              ? ", ran out of its " + timeout
              : ", holds up op " + due.seq.ToString() + ", which ran out of its " + timeout) +
         ": ";
}

base::Status MpiGroup::ExpiryError(const Running& run, const std::vector<int>& missing) const {
  std::string message = DescribeExpiry(run);
  if (missing.empty()) {
    return base::DeadlineExceededError(
               message +
               "every member called an op of this number and its process answers, but MPI "
               "did not end it; calls that differ do that, which check_calls would find")
        .WithClass(base::FailureClass::kTimeoutUnknown);
  }
  std::vector<int> silent, late;
  for (const int member : missing) {
    const bool answered = members_[static_cast<size_t>(member)].told.has_value();
    (answered ? late : silent).push_back(member);
  }
  if (!late.empty()) message += DescribeMembers(late) + " never called it";
  if (!silent.empty()) {
    message += (late.empty() ? "" : ", and ") + DescribeMembers(silent) +
               " did not answer: stopped or dead";
  }
  return base::DeadlineExceededError(std::move(message))
      .WithClass(base::FailureClass::kPeerStalled);
}

std::vector<int> MpiGroup::Missing(uint64_t seq) const {
  std::vector<int> missing;
  for (int member = 0; member < size_; ++member) {
    const auto& told = members_[static_cast<size_t>(member)].told;
    if (member != self_ && (!told.has_value() || told->seq < seq)) missing.push_back(member);
  }
  return missing;
}

std::vector<int> MpiGroup::LeftBefore(uint64_t seq) const {
  std::vector<int> left;
  for (int member = 0; member < size_; ++member) {
    const auto& farewell = members_[static_cast<size_t>(member)].farewell;
    if (farewell.has_value() && farewell->done < seq) left.push_back(member);
  }
  return left;
}

void MpiGroup::AwaitChange(base::Duration at_most) {
  Lock lock(mutex_);
  changed_.wait_for(lock, at_most);
}

void MpiGroup::Interrupt() {
  const Lock lock(mutex_);
  interrupted_ = true;
  changed_.notify_all();
}

void MpiGroup::DeclareLongPhase(base::Duration at_most) {
  const Lock lock(mutex_);
  late_until_ = clock_.Now() + std::min(at_most, kMaxTimeout);
}

std::optional<MpiGroup::Farewell> MpiGroup::FarewellOf(int member) const {
  const Lock lock(mutex_);
  return members_[static_cast<size_t>(member)].farewell;
}

// ---------------------------------------------------------------------------------------- messages

void MpiGroup::OnEnded() {
  const Lock lock(mutex_);
  changed_.notify_all();
}

// A member that has said goodbye is needed no more. The word of it goes on when this member leaves.
bool MpiGroup::OnDied(int world_rank) {
  const auto place =
      std::find(spec_.world_ranks.begin(), spec_.world_ranks.end(), base::Rank(world_rank));
  if (place == spec_.world_ranks.end()) return false;
  const int member = static_cast<int>(place - spec_.world_ranks.begin());
  const Lock lock(mutex_);
  if (members_[static_cast<size_t>(member)].farewell.has_value()) return false;
  members_[static_cast<size_t>(member)].farewell = Farewell{};
  if (!error_.has_value()) {
    const base::Status error =
        base::UnavailableError("group " + spec_.name + " has lost " + DescribeMembers({member}) +
                               ", which has died; " + engine_.version() +
                               " goes on without it, and so can a smaller group (Shrink)")
            .WithClass(base::FailureClass::kPeerDead);
    const ControlMessage message = MessageOf(error, nullptr, {member});
    error_ = {StatusOf(message), 0, message};
  }
  changed_.notify_all();
  return true;
}

void MpiGroup::OnMessage(const ControlMessage& message) {
  if (message.from < 0 || message.from >= size_) return;
  Lock lock(mutex_);
  Member& member = members_[static_cast<size_t>(message.from)];
  switch (message.kind) {
    case Kind::kHere:
      member.came = true;
      member.pid = message.pid;
      member.host = message.Text();
      break;
    case Kind::kError:
      if (!error_.has_value()) error_ = {StatusOf(message), message.seq, message};
      break;
    case Kind::kAsk: {
      ControlMessage answer = MakeMessage(Kind::kTell);
      answer.seq = begun_;
      answer.late_ns = (late_until_ - clock_.Now()).count();
      lock.unlock();
      SendTo(message.from, answer);
      return;
    }
    case Kind::kTell: member.told = message; break;
    case Kind::kLeft: member.farewell = {message.seq, message.sends, message.receives}; break;
    case Kind::kReady:
    case Kind::kWithdraw:
    case Kind::kGo: break;  // the engine's own
  }
  changed_.notify_all();
}

ControlMessage MpiGroup::MakeMessage(Kind kind) const {
  ControlMessage message;
  message.kind = kind;
  message.key = key_;
  message.from = self_;
  message.member_count = size_;
  return message;
}

void MpiGroup::SendTo(int member, const ControlMessage& message) {
  engine_.Send(spec_.world_ranks[static_cast<size_t>(member)].value(), message);
}

void MpiGroup::SendToOthers(const ControlMessage& message) {
  for (int member = 0; member < size_; ++member) {
    if (member != self_) SendTo(member, message);
  }
}

// ------------------------------------------------------------------------------------------ errors

base::Status MpiGroup::error() const {
  const Lock lock(mutex_);
  return error_.has_value() ? error_->status : base::OkStatus();
}

base::Status MpiGroup::FailedBefore(const base::Status& root) const {
  return base::AbortedError("group " + spec_.name +
                            " failed before this call and cannot be used any more")
      .WithClass(root.failure_class())
      .WithCause(root);
}

base::Status MpiGroup::LeavingError() const {
  return base::AbortedError("this member is leaving or aborting group " + spec_.name);
}

base::Status MpiGroup::Publish(const base::Status& error, const Running* run,
                               const std::vector<int>& blamed, uint64_t from) {
  ControlMessage message = MessageOf(error, run, blamed);
  {
    const Lock lock(mutex_);
    if (error_.has_value()) return error_->status;
    // Of what has ended here this member has done its part: the others may still end it well.
    message.seq = from = std::max(from, done_ + 1);
    error_ = {StatusOf(message), from, message};  // as the others read it
    changed_.notify_all();
  }
  SendToOthers(message);
  return this->error();
}

base::Status MpiGroup::Adopt(const base::Status& error, const Running& run,
                             const std::vector<int>& blamed) {
  const Lock lock(mutex_);
  done_ = run.seq.value();  // its calls to MPI have ended: nobody waits for this member in it
  if (!error_.has_value()) error_ = {Name(error, &run, blamed), 0, std::nullopt};
  changed_.notify_all();
  return error_->status;
}

ControlMessage MpiGroup::MessageOf(const base::Status& error, const Running* run,
                                   const std::vector<int>& blamed) const {
  ControlMessage message = MakeMessage(Kind::kError);
  message.code = static_cast<uint32_t>(error.code());
  message.failure_class = static_cast<uint32_t>(error.failure_class());
  if (run != nullptr) {
    message.sends = run->seq.value();
    message.count = run->op.count;
    message.root = run->op.peer;
    message.op_kind = static_cast<uint8_t>(run->op.kind);
    message.dtype = static_cast<uint8_t>(run->op.dtype);
    message.reduction = static_cast<uint8_t>(run->op.reduction);
  }
  for (const int member : blamed) {
    if (message.blamed_count == ControlMessage::kMaxBlamed) break;
    message.blamed[message.blamed_count++] = member;
  }
  message.SetText(error.message());
  return message;
}

base::Status MpiGroup::StatusOf(const ControlMessage& message) const {
  if (message.code == 0 || message.code > static_cast<uint32_t>(base::Code::kUnauthenticated) ||
      message.failure_class > static_cast<uint32_t>(base::FailureClass::kAbortedByAgent)) {
    return base::DataLossError("rank " + std::to_string(message.world_rank) + " told group " +
                               spec_.name + " of an error of code " + std::to_string(message.code) +
                               " and class " + std::to_string(message.failure_class));
  }
  base::Status status(static_cast<base::Code>(message.code), message.Text());
  status = status.WithClass(static_cast<base::FailureClass>(message.failure_class));
  for (int i = 0; i < std::min<int>(message.blamed_count, ControlMessage::kMaxBlamed); ++i) {
    const int member = message.blamed[i];
    if (member >= 0 && member < size_) status = status.WithSubject(SubjectOf(member));
  }
  if (message.op_kind == 0) return status;
  return status.WithOp(
      {.group = id(),
       .epoch = spec_.epoch,
       .seq = base::OpSeq(message.sends),
       .kind = DescribeOp(static_cast<OpKind>(message.op_kind), static_cast<Dtype>(message.dtype),
                          static_cast<Reduction>(message.reduction), message.root, message.count)});
}

base::Status MpiGroup::Name(base::Status error, const Running* run,
                            const std::vector<int>& blamed) const {
  for (const int member : blamed) error = error.WithSubject(SubjectOf(member));
  if (run == nullptr) return error;
  const Op& op = run->op;
  return error.WithOp({.group = id(),
                       .epoch = spec_.epoch,
                       .seq = run->seq,
                       .kind = DescribeOp(op.kind, op.dtype, op.reduction, op.peer, op.count)});
}

base::Subject MpiGroup::SubjectOf(int member) const {
  const Member& known = members_[static_cast<size_t>(member)];
  base::Subject subject;
  subject.job = spec_.job;
  subject.host = known.came ? known.host : "";
  subject.rank = spec_.world_ranks[static_cast<size_t>(member)];
  if (known.came) subject.pid = known.pid;
  return subject;
}

std::string MpiGroup::DescribeMembers(const std::vector<int>& members) const {
  return NameMembers(spec_.world_ranks, members);
}

std::string MpiGroup::DescribeRunning(const Running& run) const {
  return DescribeOp(run.op.kind, run.op.dtype, run.op.reduction, run.op.peer, run.op.count) +
         ", op " + run.seq.ToString() + " of group " + spec_.name;
}

}  // namespace lockstep::collectives
