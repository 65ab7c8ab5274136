// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/event_json.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace lockstep::telemetry {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using ::testing::HasSubstr;

/// Sets every field of `message`, repeated ones twice, but oneofs; strings hold what must be
/// escaped.
void FillAll(Message* message) {
  const auto* descriptor = message->GetDescriptor();
  const auto* to = message->GetReflection();
  const std::string text = "a \"b\" \\ / \n\t\r\x01\x7f <&> \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80";
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->real_containing_oneof() != nullptr) continue;
    for (int times = 0; times < (field->is_repeated() ? 2 : 1); ++times) {
      const bool add = field->is_repeated();
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_STRING:
          add ? to->AddString(message, field, text) : to->SetString(message, field, text);
          break;
        case FieldDescriptor::CPPTYPE_BOOL:
          add ? to->AddBool(message, field, true) : to->SetBool(message, field, true);
          break;
        case FieldDescriptor::CPPTYPE_INT32:
          add ? to->AddInt32(message, field, -7)
              : to->SetInt32(message, field, std::numeric_limits<int32_t>::min());
          break;
        case FieldDescriptor::CPPTYPE_UINT32:
          add ? to->AddUInt32(message, field, 7) : to->SetUInt32(message, field, 4'000'000'000u);
          break;
        case FieldDescriptor::CPPTYPE_INT64:
          add ? to->AddInt64(message, field, -7)
              : to->SetInt64(message, field, std::numeric_limits<int64_t>::min());
          break;
        case FieldDescriptor::CPPTYPE_UINT64:
          add ? to->AddUInt64(message, field, 7) : to->SetUInt64(message, field, ~uint64_t{0});
          break;
        case FieldDescriptor::CPPTYPE_ENUM: {
          const auto* last = field->enum_type()->value(field->enum_type()->value_count() - 1);
          add ? to->AddEnum(message, field, last) : to->SetEnum(message, field, last);
          break;
        }
        case FieldDescriptor::CPPTYPE_MESSAGE:
          if (field->message_type()->full_name() == "google.protobuf.Duration") {
            auto* duration =
                static_cast<google::protobuf::Duration*>(to->MutableMessage(message, field));
            duration->set_seconds(-3);
            duration->set_nanos(-40'000'000);
          } else if (field->message_type()->full_name() == "google.protobuf.Timestamp") {
            auto* time =
                static_cast<google::protobuf::Timestamp*>(to->MutableMessage(message, field));
            time->set_seconds(1'790'000'000);
            time->set_nanos(123'456'000);
          } else {
            FillAll(add ? to->AddMessage(message, field) : to->MutableMessage(message, field));
          }
          break;
        default: FAIL() << field->full_name() << " is of a type that EventJson does not print";
      }
    }
  }
}

/// protobuf's own reader must read our text as the same event.
void ExpectReadsBack(const proto::Event& event) {
  const std::string json = EventJson(event);
  proto::Event read;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &read);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << json;
  EXPECT_EQ(read.DebugString(), event.DebugString()) << json;
  EXPECT_EQ(json.find('\n'), std::string::npos);
}

TEST(EventJsonTest, EveryKindOfEventReadsBackFullAndEmpty) {
  const auto* kinds = proto::Event::descriptor()->FindOneofByName("kind");
  ASSERT_GT(kinds->field_count(), 10);
  for (int i = 0; i < kinds->field_count(); ++i) {
    proto::Event event;
    Message* kind = event.GetReflection()->MutableMessage(&event, kinds->field(i));
    ExpectReadsBack(event);
    FillAll(kind);
    FillAll(&event);
    ExpectReadsBack(event);
  }
  ExpectReadsBack(proto::Event());
}

TEST(EventJsonTest, TextIsThatOfProtobufsPrinter) {
  proto::Event event;
  event.mutable_time()->set_seconds(1'790'000'000);
  event.mutable_time()->set_nanos(123'456'000);
  event.set_steady_ns(5);
  event.mutable_rank_exited()->set_rank(3);
  event.mutable_rank_exited()->set_out_of_memory(true);
  event.mutable_job_started();
  event.mutable_job_started()->add_command("./train");
  event.mutable_job_started()->add_command("--lr=0.1");
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string expected;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(event, &expected, options).ok());

  EXPECT_EQ(EventJson(event), expected);
}

TEST(EventJsonTest, BytesThatAreNoTextAreReplaced) {
  const std::string replacement = "\xef\xbf\xbd";
  const std::pair<std::string, std::string> cases[] = {
      {"a\xff z", "a" + replacement + " z"},
      {"\xc3", replacement},                                                        // cut off
      {"\xc0\xaf", replacement + replacement},                                      // overlong
      {"\xed\xa0\x80", replacement + replacement + replacement},                    // surrogate
      {"\xf4\x90\x80\x80", replacement + replacement + replacement + replacement},  // too high
      {"\xe2\x82", replacement + replacement},
  };
  for (const auto& [text, expected] : cases) {
    proto::Event event;
    event.mutable_notice()->set_text(text);
    EXPECT_THAT(EventJson(event), HasSubstr("\"" + expected + "\""));
  }
}

}  // namespace
}  // namespace lockstep::telemetry
