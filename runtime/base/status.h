// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_STATUS_H_
#define LOCKSTEP_RUNTIME_BASE_STATUS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"

namespace lockstep::base {

/// The canonical RPC codes with their canonical numbers. Detail goes into Status's fields, never
/// into new codes.
enum class Code : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// "INVALID_ARGUMENT": as in docs/errors.md and every error text.
std::string_view CodeName(Code code);

/// What kind of trouble a collective or a gang met, where that is known.
enum class FailureClass : uint8_t {
  kUnspecified = 0,
  kUsage = 1,  // mismatching calls: a bug in the program
  kPeerDead = 2,
  kPeerStalled = 3,
  kNetwork = 4,
  kTimeoutUnknown = 5,  // a deadline passed and nothing says why
  kLocalDevice = 6,
  kAbortedByAgent = 7,
};

std::string_view FailureClassName(FailureClass failure_class);

/// A process that an error is about: the suspected culprit first, then victims.
struct Subject {
  std::string job;
  std::string host;
  std::optional<int64_t> pid;
  std::optional<Rank> rank;
  std::optional<Incarnation> incarnation;
  std::string call_site;  // "train.cc:42", where the rank made the call

  friend bool operator==(const Subject&, const Subject&) = default;
  std::string ToString() const;
};

/// The collective call that an error is about.
struct OpRef {
  GroupId group;
  Round epoch;
  OpSeq seq;
  std::string kind;  // "all_reduce(f32, sum, 1024)"

  friend bool operator==(const OpRef&, const OpRef&) = default;
  std::string ToString() const;
};

/// Who may try again, and when.
struct Retry {
  enum class Kind : uint8_t { kUnspecified, kNever, kSameMember, kNewRound, kAfter };
  Kind kind = Kind::kUnspecified;
  Duration delay{0};  // for kAfter

  friend bool operator==(const Retry&, const Retry&) = default;
};

/// The outcome of an operation that the environment can make fail. OK costs one null pointer; an
/// error is one shared, immutable record, so copies are cheap and a Status may cross threads. First
/// failure wins: an error that is only a consequence names what it follows from in cause(), and is
/// never rewritten on its way up; callers add a frame.
///
///   Status Load(const std::string& path) {
///     RETURN_IF_ERROR(Read(path).WithFrame("while loading the checkpoint"));
///     return OkStatus();
///   }
class [[nodiscard]] Status {
 public:
  Status() = default;
  /// `message` says what was attempted, on what, what happened, which limit applied and what to
  /// try.
  Status(Code code, std::string message,
         std::source_location origin = std::source_location::current());

  bool ok() const { return rep_ == nullptr; }
  Code code() const;
  FailureClass failure_class() const;
  const std::string& message() const;
  const std::vector<Subject>& subjects() const;
  const std::optional<OpRef>& op() const;
  Retry retry() const;
  /// Null when this is the root.
  const Status* cause() const;
  /// The end of the chain of causes; *this when there is none.
  const Status& root() const;
  const char* origin_file() const;
  uint32_t origin_line() const;
  std::optional<SteadyTime> observed_at() const;
  std::optional<WallTime> observed_at_wall() const;

  /// Each returns a changed copy and leaves an OK status OK.
  Status WithFrame(std::string_view frame) const;  // "message" becomes "frame: message"
  Status WithClass(FailureClass failure_class) const;
  Status WithSubject(Subject subject) const;
  Status WithOp(OpRef op) const;
  Status WithRetry(Retry retry) const;
  Status WithCause(Status cause) const;
  Status WithOrigin(std::string file, uint32_t line) const;
  Status ObservedAt(SteadyTime steady, WallTime wall) const;

  /// One line: "UNAVAILABLE: message [rank 3 on host a, pid 17] (op ...); caused by: ...".
  std::string ToString() const;

 private:
  struct Rep;
  template <class Change>
  Status With(Change change) const;

  std::shared_ptr<const Rep> rep_;  // shared because it is immutable
};

inline Status OkStatus() { return Status(); }
std::ostream& operator<<(std::ostream& out, const Status& status);

#define LOCKSTEP_STATUS_FACTORY(Name)                                                        \
  inline Status Name##Error(std::string message,                                             \
                            std::source_location origin = std::source_location::current()) { \
    return Status(Code::k##Name, std::move(message), origin);                                \
  }
LOCKSTEP_STATUS_FACTORY(Cancelled)
LOCKSTEP_STATUS_FACTORY(Unknown)
LOCKSTEP_STATUS_FACTORY(InvalidArgument)
LOCKSTEP_STATUS_FACTORY(DeadlineExceeded)
LOCKSTEP_STATUS_FACTORY(NotFound)
LOCKSTEP_STATUS_FACTORY(AlreadyExists)
LOCKSTEP_STATUS_FACTORY(PermissionDenied)
LOCKSTEP_STATUS_FACTORY(ResourceExhausted)
LOCKSTEP_STATUS_FACTORY(FailedPrecondition)
LOCKSTEP_STATUS_FACTORY(Aborted)
LOCKSTEP_STATUS_FACTORY(OutOfRange)
LOCKSTEP_STATUS_FACTORY(Unimplemented)
LOCKSTEP_STATUS_FACTORY(Internal)
LOCKSTEP_STATUS_FACTORY(Unavailable)
LOCKSTEP_STATUS_FACTORY(DataLoss)
LOCKSTEP_STATUS_FACTORY(Unauthenticated)
#undef LOCKSTEP_STATUS_FACTORY

}  // namespace lockstep::base

#define LOCKSTEP_CONCAT_INNER(a, b) a##b
#define LOCKSTEP_CONCAT(a, b) LOCKSTEP_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                                                     \
  do {                                                                                  \
    if (::lockstep::base::Status lockstep_status = (expression); !lockstep_status.ok()) \
      return lockstep_status;                                                           \
  } while (false)

/// ASSIGN_OR_RETURN(auto fd, Open(path));
#define ASSIGN_OR_RETURN(declaration, expression) \
  LOCKSTEP_ASSIGN_OR_RETURN(LOCKSTEP_CONCAT(lockstep_result_, __LINE__), declaration, expression)
#define LOCKSTEP_ASSIGN_OR_RETURN(result, declaration, expression) \
  auto result = (expression);                                      \
  if (!result.ok()) return std::move(result).status();             \
  declaration = std::move(result).value()

#endif  // LOCKSTEP_RUNTIME_BASE_STATUS_H_
