// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_RESULT_H_
#define LOCKSTEP_RUNTIME_BASE_RESULT_H_

#include <type_traits>
#include <utility>
#include <variant>

#include "runtime/base/check.h"
#include "runtime/base/status.h"

namespace lockstep::base {

/// A value, or the error that kept it from existing. Taking the value of an error aborts.
template <class T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): return an error as is
  Result(Status status) : state_(std::move(status)) {
    LOCKSTEP_CHECK(!std::get<Status>(state_).ok(), "an OK status is no error");
  }
  // NOLINTNEXTLINE(google-explicit-constructor): return a value as is
  Result(T value) : state_(std::move(value)) {}
  template <class U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Status> &&
             !std::is_same_v<std::remove_cvref_t<U>, Result<T>>)
  // NOLINTNEXTLINE(google-explicit-constructor): unique_ptr<Derived> to unique_ptr<Base>
  Result(U&& value) : state_(T(std::forward<U>(value))) {}

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const& { return ok() ? OkStatus() : std::get<Status>(state_); }
  Status status() && { return ok() ? OkStatus() : std::move(std::get<Status>(state_)); }

  const T& value() const& { return CheckedValue(*this); }
  T& value() & { return CheckedValue(*this); }
  T&& value() && { return std::move(CheckedValue(*this)); }

  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

 private:
  template <class Self>
  static auto& CheckedValue(Self& self) {
    if (!self.ok())
      CheckFailed(__FILE__, __LINE__, "result.ok()",
                  std::get<Status>(self.state_).ToString().c_str());
    return std::get<T>(self.state_);
  }

  std::variant<Status, T> state_;
};

}  // namespace lockstep::base

#endif  // LOCKSTEP_RUNTIME_BASE_RESULT_H_
