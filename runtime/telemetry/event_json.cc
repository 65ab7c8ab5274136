// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/event_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/json_string.h"

namespace lockstep::telemetry {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void AppendTime(const google::protobuf::Timestamp& time, std::string* out) {
  out->push_back('"');
  out->append(base::FormatUtc(base::WallTime(std::chrono::seconds(time.seconds()) +
                                             std::chrono::nanoseconds(time.nanos()))));
  out->push_back('"');
}

/// "1.500000000s".
void AppendDuration(const google::protobuf::Duration& duration, std::string* out) {
  const bool is_negative = duration.seconds() < 0 || duration.nanos() < 0;
  const std::string nanos = std::to_string(std::abs(duration.nanos()));
  out->append(is_negative ? "\"-" : "\"");
  out->append(std::to_string(std::abs(duration.seconds())) + ".");
  out->append(9 - std::min<size_t>(nanos.size(), 9), '0');
  out->append(nanos + "s\"");
}

/// One that has no name is a number.
void AppendEnum(const FieldDescriptor* field, int value, std::string* out) {
  const auto* const named = field->enum_type()->FindValueByNumber(value);
  if (named == nullptr) {
    out->append(std::to_string(value));
  } else {
    base::AppendJsonString(named->name(), out);
  }
}

void AppendMessage(const Message& message, std::string* out);

/// Element `index` of a repeated field, or the field itself when it is -1.
void AppendValue(const Message& message, const FieldDescriptor* field, int index,
                 std::string* out) {
  const Reflection* from = message.GetReflection();
  const bool repeated = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      base::AppendJsonString(repeated ? from->GetRepeatedString(message, field, index)
                                      : from->GetString(message, field),
                             out);
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      out->append(
          (repeated ? from->GetRepeatedBool(message, field, index) : from->GetBool(message, field))
              ? "true"
              : "false");
      return;
    case FieldDescriptor::CPPTYPE_INT32:
      out->append(std::to_string(repeated ? from->GetRepeatedInt32(message, field, index)
                                          : from->GetInt32(message, field)));
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
      out->append(std::to_string(repeated ? from->GetRepeatedUInt32(message, field, index)
                                          : from->GetUInt32(message, field)));
      return;
    // 64 bits are more than a JSON number of most readers holds, so protobuf quotes them.
    case FieldDescriptor::CPPTYPE_INT64:
      base::AppendJsonString(std::to_string(repeated ? from->GetRepeatedInt64(message, field, index)
                                                     : from->GetInt64(message, field)),
                             out);
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      base::AppendJsonString(
          std::to_string(repeated ? from->GetRepeatedUInt64(message, field, index)
                                  : from->GetUInt64(message, field)),
          out);
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      AppendMessage(repeated ? from->GetRepeatedMessage(message, field, index)
                             : from->GetMessage(message, field),
                    out);
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      AppendEnum(field,
                 repeated ? from->GetRepeatedEnumValue(message, field, index)
                          : from->GetEnumValue(message, field),
                 out);
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT: break;
  }
  LOCKSTEP_CHECK(false, "event.proto has got a field of a type that EventJson does not print");
}

void AppendMessage(const Message& message, std::string* out) {
  if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    AppendTime(static_cast<const google::protobuf::Timestamp&>(message), out);
    return;
  }
  if (message.GetDescriptor() == google::protobuf::Duration::descriptor()) {
    AppendDuration(static_cast<const google::protobuf::Duration&>(message), out);
    return;
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  char separator = '{';
  for (const FieldDescriptor* field : fields) {
    out->push_back(separator);
    separator = ',';
    base::AppendJsonString(field->name(), out);
    out->push_back(':');
    if (!field->is_repeated()) {
      AppendValue(message, field, -1, out);
      continue;
    }
    const int size = message.GetReflection()->FieldSize(message, field);
    for (int i = 0; i < size; ++i) {
      out->push_back(i == 0 ? '[' : ',');
      AppendValue(message, field, i, out);
    }
    out->push_back(']');
  }
  if (separator == '{') out->push_back('{');
  out->push_back('}');
}

}  // namespace

std::string EventJson(const proto::Event& event) {
  std::string json;
  AppendMessage(event, &json);
  return json;
}

}  // namespace lockstep::telemetry
