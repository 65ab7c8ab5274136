// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/status.h"

#include <cstdio>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::base {

struct Status::Rep {
  Code code = Code::kUnknown;
  FailureClass failure_class = FailureClass::kUnspecified;
  std::string message;
  std::vector<Subject> subjects;
  std::optional<OpRef> op;
  Retry retry;
  std::optional<Status> cause;
  std::string origin_file;
  uint32_t origin_line = 0;
  std::optional<SteadyTime> observed_at;
  std::optional<WallTime> observed_at_wall;
};

namespace {

const std::string kNoMessage;
const std::vector<Subject> kNoSubjects;
const std::optional<OpRef> kNoOp;

}  // namespace

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "OK";
    case Code::kCancelled: return "CANCELLED";
    case Code::kUnknown: return "UNKNOWN";
    case Code::kInvalidArgument: return "INVALID_ARGUMENT";
    case Code::kDeadlineExceeded: return "DEADLINE_EXCEEDED";
    case Code::kNotFound: return "NOT_FOUND";
    case Code::kAlreadyExists: return "ALREADY_EXISTS";
    case Code::kPermissionDenied: return "PERMISSION_DENIED";
    case Code::kResourceExhausted: return "RESOURCE_EXHAUSTED";
    case Code::kFailedPrecondition: return "FAILED_PRECONDITION";
    case Code::kAborted: return "ABORTED";
    case Code::kOutOfRange: return "OUT_OF_RANGE";
    case Code::kUnimplemented: return "UNIMPLEMENTED";
    case Code::kInternal: return "INTERNAL";
    case Code::kUnavailable: return "UNAVAILABLE";
    case Code::kDataLoss: return "DATA_LOSS";
    case Code::kUnauthenticated: return "UNAUTHENTICATED";
  }
  return "CODE_OUT_OF_RANGE";
}

std::string_view FailureClassName(FailureClass failure_class) {
  switch (failure_class) {
    case FailureClass::kUnspecified: return "UNSPECIFIED";
    case FailureClass::kUsage: return "USAGE";
    case FailureClass::kPeerDead: return "PEER_DEAD";
    case FailureClass::kPeerStalled: return "PEER_STALLED";
    case FailureClass::kNetwork: return "NETWORK";
    case FailureClass::kTimeoutUnknown: return "TIMEOUT_UNKNOWN";
    case FailureClass::kLocalDevice: return "LOCAL_DEVICE";
    case FailureClass::kAbortedByAgent: return "ABORTED_BY_AGENT";
  }
  return "CLASS_OUT_OF_RANGE";
}

std::string Subject::ToString() const {
  std::string text;
  const auto add = [&text](std::string_view label, const std::string& value) {
    if (!text.empty()) text += ", ";
    text += label;
    text += value;
  };
  if (!job.empty()) add("job ", job);
  if (rank) add("rank ", rank->ToString());
  if (incarnation && incarnation->value() > 0) add("incarnation ", incarnation->ToString());
  if (!host.empty()) add("host ", host);
  if (pid) add("pid ", std::to_string(*pid));
  if (!call_site.empty()) add("at ", call_site);
  return text;
}

std::string OpRef::ToString() const {
  char group_text[24];
  std::snprintf(group_text, sizeof group_text, "%016llx",
                static_cast<unsigned long long>(group.value()));
  return kind + " #" + seq.ToString() + " in group " + group_text + ", epoch " + epoch.ToString();
}

Status::Status(Code code, std::string message, std::source_location origin) {
  LOCKSTEP_CHECK(code != Code::kOk, "an OK status has no message; use OkStatus()");
  auto rep = std::make_shared<Rep>();
  rep->code = code;
  rep->message = std::move(message);
  rep->origin_file = origin.file_name();
  rep->origin_line = origin.line();
  rep_ = std::move(rep);
}

Code Status::code() const { return rep_ ? rep_->code : Code::kOk; }
FailureClass Status::failure_class() const {
  return rep_ ? rep_->failure_class : FailureClass::kUnspecified;
}
const std::string& Status::message() const { return rep_ ? rep_->message : kNoMessage; }
const std::vector<Subject>& Status::subjects() const { return rep_ ? rep_->subjects : kNoSubjects; }
const std::optional<OpRef>& Status::op() const { return rep_ ? rep_->op : kNoOp; }
Retry Status::retry() const { return rep_ ? rep_->retry : Retry{}; }
const Status* Status::cause() const { return rep_ && rep_->cause ? &*rep_->cause : nullptr; }
const char* Status::origin_file() const { return rep_ ? rep_->origin_file.c_str() : ""; }
uint32_t Status::origin_line() const { return rep_ ? rep_->origin_line : 0; }
std::optional<SteadyTime> Status::observed_at() const {
  return rep_ ? rep_->observed_at : std::nullopt;
}
std::optional<WallTime> Status::observed_at_wall() const {
  return rep_ ? rep_->observed_at_wall : std::nullopt;
}

const Status& Status::root() const {
  const Status* status = this;
  while (const Status* next = status->cause()) status = next;
  return *status;
}

template <class Change>
Status Status::With(Change change) const {
  if (ok()) return *this;
  auto rep = std::make_shared<Rep>(*rep_);
  change(*rep);
  Status changed;
  changed.rep_ = std::move(rep);
  return changed;
}

Status Status::WithFrame(std::string_view frame) const {
  return With([&](Rep& rep) { rep.message = std::string(frame) + ": " + rep.message; });
}

Status Status::WithClass(FailureClass failure_class) const {
  return With([&](Rep& rep) { rep.failure_class = failure_class; });
}

Status Status::WithSubject(Subject subject) const {
  return With([&](Rep& rep) { rep.subjects.push_back(std::move(subject)); });
}

Status Status::WithOp(OpRef op) const {
  return With([&](Rep& rep) { rep.op = std::move(op); });
}

Status Status::WithRetry(Retry retry) const {
  return With([&](Rep& rep) { rep.retry = retry; });
}

Status Status::WithCause(Status cause) const {
  if (cause.ok()) return *this;
  return With([&](Rep& rep) { rep.cause = std::move(cause); });
}

Status Status::WithOrigin(std::string file, uint32_t line) const {
  return With([&](Rep& rep) {
    rep.origin_file = std::move(file);
    rep.origin_line = line;
  });
}

Status Status::ObservedAt(SteadyTime steady, WallTime wall) const {
  return With([&](Rep& rep) {
    rep.observed_at = steady;
    rep.observed_at_wall = wall;
  });
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  std::string text(CodeName(code()));
  text += ": " + message();
  for (const Subject& subject : subjects()) text += " [" + subject.ToString() + "]";
  if (op()) text += " (" + op()->ToString() + ")";
  if (cause()) text += "; caused by: " + cause()->ToString();
  return text;
}

std::ostream& operator<<(std::ostream& out, const Status& status) {
  return out << status.ToString();
}

}  // namespace lockstep::base
