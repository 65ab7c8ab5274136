// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/status_conversion.h"

#include <chrono>
#include <utility>

namespace lockstep::proto {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

base::Code CodeFrom(int32_t number) {
  const bool known = number >= static_cast<int32_t>(base::Code::kOk) &&
                     number <= static_cast<int32_t>(base::Code::kUnauthenticated);
  return known ? static_cast<base::Code>(number) : base::Code::kUnknown;
}

base::FailureClass ClassFrom(int32_t number) {
  const bool known =
      number >= 0 && number <= static_cast<int32_t>(base::FailureClass::kAbortedByAgent);
  return known ? static_cast<base::FailureClass>(number) : base::FailureClass::kUnspecified;
}

Subject SubjectToProto(const base::Subject& subject) {
  Subject message;
  message.set_job(subject.job);
  message.set_host(subject.host);
  if (subject.pid) message.set_pid(*subject.pid);
  if (subject.rank) message.set_rank(subject.rank->value());
  if (subject.incarnation) message.set_incarnation(subject.incarnation->value());
  message.set_call_site(subject.call_site);
  return message;
}

base::Subject SubjectFrom(const Subject& message) {
  base::Subject subject;
  subject.job = message.job();
  subject.host = message.host();
  if (message.has_pid()) subject.pid = message.pid();
  if (message.has_rank()) subject.rank = base::Rank(message.rank());
  if (message.has_incarnation()) subject.incarnation = base::Incarnation(message.incarnation());
  subject.call_site = message.call_site();
  return subject;
}

Retry RetryToProto(const base::Retry& retry) {
  Retry message;
  message.set_kind(static_cast<Retry::Kind>(retry.kind));
  const auto whole = std::chrono::duration_cast<seconds>(retry.delay);
  message.mutable_delay()->set_seconds(whole.count());
  message.mutable_delay()->set_nanos(static_cast<int32_t>((retry.delay - whole).count()));
  return message;
}

base::Retry RetryFrom(const Retry& message) {
  base::Retry retry;
  if (Retry::Kind_IsValid(message.kind())) {
    retry.kind = static_cast<base::Retry::Kind>(message.kind());
  }
  retry.delay = seconds(message.delay().seconds()) + nanoseconds(message.delay().nanos());
  return retry;
}

void Fill(const base::Status& status, int causes_left, Status* message) {
  message->set_code(static_cast<int32_t>(status.code()));
  if (status.ok()) return;
  message->set_failure_class(static_cast<int32_t>(status.failure_class()));
  message->set_message(status.message());
  message->set_origin_file(status.origin_file());
  message->set_origin_line(status.origin_line());
  for (const base::Subject& subject : status.subjects()) {
    *message->add_subjects() = SubjectToProto(subject);
  }
  if (status.op()) {
    OpRef& op = *message->mutable_op();
    op.set_group(status.op()->group.value());
    op.set_epoch(status.op()->epoch.value());
    op.set_seq(status.op()->seq.value());
    op.set_kind(status.op()->kind);
  }
  if (status.retry() != base::Retry{}) *message->mutable_retry() = RetryToProto(status.retry());
  if (status.observed_at()) {
    message->set_observed_at_steady_ns(status.observed_at()->time_since_epoch().count());
  }
  if (status.observed_at_wall()) {
    message->set_observed_at_wall_ns(status.observed_at_wall()->time_since_epoch().count());
  }
  if (status.cause() != nullptr && causes_left > 0) {
    Fill(*status.cause(), causes_left - 1, message->mutable_cause());
  }
}

base::Status From(const Status& message, int causes_left) {
  if (message.code() == 0) return base::OkStatus();
  base::Status status(CodeFrom(message.code()), message.message());
  status = status.WithOrigin(message.origin_file(), message.origin_line())
               .WithClass(ClassFrom(message.failure_class()));
  for (const Subject& subject : message.subjects()) {
    status = status.WithSubject(SubjectFrom(subject));
  }
  if (message.has_op()) {
    status = status.WithOp({.group = base::GroupId(message.op().group()),
                            .epoch = base::Round(message.op().epoch()),
                            .seq = base::OpSeq(message.op().seq()),
                            .kind = message.op().kind()});
  }
  if (message.has_retry()) status = status.WithRetry(RetryFrom(message.retry()));
  if (message.has_observed_at_steady_ns() && message.has_observed_at_wall_ns()) {
    status = status.ObservedAt(base::SteadyTime(nanoseconds(message.observed_at_steady_ns())),
                               base::WallTime(nanoseconds(message.observed_at_wall_ns())));
  }
  if (message.has_cause() && causes_left > 0) {
    status = status.WithCause(From(message.cause(), causes_left - 1));
  }
  return status;
}

}  // namespace

Status ToProto(const base::Status& status) {
  Status message;
  Fill(status, kStatusCausesMax, &message);
  return message;
}

base::Status FromProto(const Status& status) { return From(status, kStatusCausesMax); }

}  // namespace lockstep::proto
