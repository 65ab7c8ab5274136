// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_BASE_TESTING_STATUS_MATCHERS_H_
#define LOCKSTEP_RUNTIME_BASE_TESTING_STATUS_MATCHERS_H_

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <utility>

#include "runtime/base/result.h"
#include "runtime/base/status.h"

/// EXPECT_THAT(Load(path), IsOk()); EXPECT_THAT(Parse("3"), IsOkAndHolds(3));
/// EXPECT_THAT(status, StatusIs(Code::kNotFound, HasSubstr("path"))); EXPECT_THAT(status,
/// HasSubject(Rank(3)));
namespace lockstep::base::testing {

inline Status ToStatus(const Status& status) { return status; }
template <class T>
Status ToStatus(const Result<T>& result) {
  return result.status();
}

MATCHER(IsOk, negation ? "is an error" : "is OK") {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).ok();
}

MATCHER_P(StatusIs, code, "has code " + std::string(CodeName(code))) {
  *result_listener << ToStatus(arg).ToString();
  return ToStatus(arg).code() == code;
}

MATCHER_P2(StatusIs, code, message_matcher,
           "has code " + std::string(CodeName(code)) + " and a message that " +
               ::testing::DescribeMatcher<std::string>(message_matcher)) {
  const Status status = ToStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message_matcher, status.message(), result_listener);
}

MATCHER_P(HasSubject, rank, "blames rank " + rank.ToString()) {
  const Status status = ToStatus(arg);
  *result_listener << status.ToString();
  for (const Subject& subject : status.subjects()) {
    if (subject.rank == rank) return true;
  }
  return false;
}

MATCHER_P(IsOkAndHolds, value_matcher, "is OK and holds the value") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value_matcher, arg.value(), result_listener);
}

}  // namespace lockstep::base::testing

#define ASSERT_OK(expression) ASSERT_THAT((expression), ::lockstep::base::testing::IsOk())
#define EXPECT_OK(expression) EXPECT_THAT((expression), ::lockstep::base::testing::IsOk())

/// ASSERT_OK_AND_ASSIGN(auto fd, Open(path));
#define ASSERT_OK_AND_ASSIGN(declaration, expression)                                          \
  LOCKSTEP_ASSERT_OK_AND_ASSIGN(LOCKSTEP_CONCAT(lockstep_test_result_, __LINE__), declaration, \
                                expression)
#define LOCKSTEP_ASSERT_OK_AND_ASSIGN(result, declaration, expression) \
  auto result = (expression);                                          \
  ASSERT_TRUE(result.ok()) << result.status();                         \
  declaration = std::move(result).value()

#endif  // LOCKSTEP_RUNTIME_BASE_TESTING_STATUS_MATCHERS_H_
