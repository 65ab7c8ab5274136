// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/event_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"

namespace lockstep::telemetry {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// Bytes of the character that `text` begins with; 0 when it begins with none (RFC 3629).
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || beyond ? 0 : size;
}

void AppendString(std::string_view text, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  out->push_back('"');
  while (!text.empty()) {
    const size_t size = CharacterBytes(text);
    const char c = text.front();
    if (size == 0) {
      out->append(kReplacement);
    } else if (c == '"' || c == '\\') {
      out->append({'\\', c});
    } else if (c == '\n') {
      out->append("\\n");
    } else if (size == 1 && (c < 0x20 || c == 0x7f)) {
      out->append({'\\', 'u', '0', '0', kHex[static_cast<size_t>(c) >> 4], kHex[c & 0xf]});
    } else {
      out->append(text.substr(0, size));
    }
    text.remove_prefix(std::max(size, size_t{1}));
  }
  out->push_back('"');
}

void AppendTime(const google::protobuf::Timestamp& time, std::string* out) {
  out->push_back('"');
  out->append(base::FormatUtc(base::WallTime(std::chrono::seconds(time.seconds()) +
                                             std::chrono::nanoseconds(time.nanos()))));
  out->push_back('"');
}

void AppendMessage(const Message& message, std::string* out);

/// Element `index` of a repeated field, or the field itself when it is -1.
void AppendValue(const Message& message, const FieldDescriptor* field, int index,
                 std::string* out) {
  const Reflection* from = message.GetReflection();
  const bool repeated = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      AppendString(repeated ? from->GetRepeatedString(message, field, index)
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
      AppendString(std::to_string(repeated ? from->GetRepeatedInt64(message, field, index)
                                           : from->GetInt64(message, field)),
                   out);
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      AppendString(std::to_string(repeated ? from->GetRepeatedUInt64(message, field, index)
                                           : from->GetUInt64(message, field)),
                   out);
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      AppendMessage(repeated ? from->GetRepeatedMessage(message, field, index)
                             : from->GetMessage(message, field),
                    out);
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_ENUM: break;
  }
  LOCKSTEP_CHECK(false, "event.proto has got a field of a type that EventJson does not print");
}

void AppendMessage(const Message& message, std::string* out) {
  if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    AppendTime(static_cast<const google::protobuf::Timestamp&>(message), out);
    return;
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  char separator = '{';
  for (const FieldDescriptor* field : fields) {
    out->push_back(separator);
    separator = ',';
    AppendString(field->name(), out);
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
