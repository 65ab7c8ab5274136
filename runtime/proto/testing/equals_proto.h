// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_TESTING_EQUALS_PROTO_H_
#define LOCKSTEP_RUNTIME_PROTO_TESTING_EQUALS_PROTO_H_

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <memory>
#include <string>

/// EXPECT_THAT(job, EqualsProto(other)); EXPECT_THAT(job, EqualsProto("spec { gang { nodes: 2 }
/// }"));
namespace lockstep::proto::testing {

inline bool ExplainEquality(const google::protobuf::Message& actual,
                            const google::protobuf::Message& expected,
                            ::testing::MatchResultListener* listener) {
  std::string differences;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&differences);
  const bool equal = differencer.Compare(expected, actual);
  *listener << (equal ? "" : "which differs in:\n" + differences);
  return equal;
}

inline bool ExplainEquality(const google::protobuf::Message& actual, const std::string& expected,
                            ::testing::MatchResultListener* listener) {
  const std::unique_ptr<google::protobuf::Message> message(actual.New());
  if (google::protobuf::TextFormat::ParseFromString(expected, message.get())) {
    return ExplainEquality(actual, *message, listener);
  }
  *listener << "which cannot be compared: the expected text is no " << actual.GetTypeName();
  return false;
}

/// `expected` is a message of the same type, or its text format.
MATCHER_P(EqualsProto, expected,
          std::string(negation ? "differs from" : "equals") + " the message " +
              ::testing::PrintToString(expected)) {
  return ExplainEquality(arg, expected, result_listener);
}

}  // namespace lockstep::proto::testing

#endif  // LOCKSTEP_RUNTIME_PROTO_TESTING_EQUALS_PROTO_H_
