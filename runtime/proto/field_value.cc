// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/field_value.h"

#include <google/protobuf/duration.pb.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <iterator>
#include <limits>

#include "runtime/base/check.h"
#include "runtime/proto/duration_text.h"
#include "runtime/proto/field_options.pb.h"
#include "runtime/proto/job.pb.h"
#include "runtime/proto/nearest_name.h"

namespace lockstep::proto {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsDuration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type() == google::protobuf::Duration::descriptor();
}

bool IsScalarMessage(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type()->options().GetExtension(scalar);
}

const FieldDescriptor& MemberOfType(const Descriptor& message, FieldDescriptor::CppType type) {
  for (int i = 0; i < message.field_count(); ++i) {
    if (message.field(i)->cpp_type() == type) return *message.field(i);
  }
  LOCKSTEP_CHECK(false, "a message with the option scalar has one integer and one enum");
  return *message.field(0);
}

const FieldDescriptor& IntegerMember(const FieldDescriptor& field) {
  return MemberOfType(*field.message_type(), FieldDescriptor::CPPTYPE_INT32);
}

const FieldDescriptor& EnumMember(const FieldDescriptor& field) {
  return MemberOfType(*field.message_type(), FieldDescriptor::CPPTYPE_ENUM);
}

/// An empty message of a type that a field of job.proto has.
const Message& EmptyPart(const Descriptor& type) {
  static const Message* const kEmpty[] = {&Metadata::default_instance(),
                                          &JobSpec::default_instance(),
                                          &Program::default_instance(),
                                          &Gang::default_instance(),
                                          &Resources::default_instance(),
                                          &Restart::default_instance(),
                                          &Backoff::default_instance(),
                                          &Grace::default_instance(),
                                          &Logs::default_instance(),
                                          &StreamChoice::default_instance(),
                                          &StdinReader::default_instance(),
                                          &ProcessesPerNode::default_instance(),
                                          &Checkpoint::default_instance(),
                                          &Collectives::default_instance(),
                                          &Hangs::default_instance(),
                                          &Metrics::default_instance(),
                                          &Placement::default_instance(),
                                          &LocalPlacement::default_instance(),
                                          &SimulatedPlacement::default_instance(),
                                          &SshPlacement::default_instance(),
                                          &SshHost::default_instance(),
                                          &JoinPlacement::default_instance(),
                                          &google::protobuf::Duration::default_instance()};
  for (const Message* empty : kEmpty) {
    if (empty->GetDescriptor() == &type) return *empty;
  }
  LOCKSTEP_CHECK(false, "job.proto has got a message that this table lacks");
  return *kEmpty[0];
}

// ----------------------------------------------------------------------------------------- numbers

std::string RangeText(const FieldDescriptor& field) {
  const FieldRule& limits = field.options().GetExtension(rule);
  return limits.min().empty() ? "a whole number" : limits.min() + " to " + limits.max();
}

base::Result<FieldValue> ParseInteger(const FieldDescriptor& field, std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool octal = text.size() > 1 && text[0] == '0';
  if (error == std::errc::result_out_of_range)
    return base::InvalidArgumentError("must be " + RangeText(field));
  if (error != std::errc() || end != text.data() + text.size() || octal) {
    return base::InvalidArgumentError("is no whole number; expected " + RangeText(field));
  }
  const bool narrow = field.cpp_type() == FieldDescriptor::CPPTYPE_INT32;
  if (narrow && (number < std::numeric_limits<int32_t>::min() ||
                 number > std::numeric_limits<int32_t>::max())) {
    return base::InvalidArgumentError("must be " + RangeText(field));
  }
  return FieldValue(number);
}

struct Suffix {
  std::string_view text;
  int64_t thousandths;
};

// Largest first, for FormatQuantity. Kubernetes also knows E and n, u: beyond what a rank can ask
// for.
constexpr Suffix kSuffixes[] = {
    {"Pi", 1000ll << 50}, {"P", 1'000'000'000'000'000'000},
    {"Ti", 1000ll << 40}, {"T", 1'000'000'000'000'000},
    {"Gi", 1000ll << 30}, {"G", 1'000'000'000'000},
    {"Mi", 1000ll << 20}, {"M", 1'000'000'000},
    {"Ki", 1000ll << 10}, {"k", 1'000'000},
    {"", 1'000},          {"m", 1},
};

base::Result<FieldValue> ParseQuantity(Quantity quantity, std::string_view text) {
  const base::Status malformed = base::InvalidArgumentError(
      quantity == QUANTITY_MILLI
          ? "is no quantity; write for example 2, 0.5 or 500m"
          : "is no quantity of bytes; write for example 2Gi, 512Mi or 1000000");
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || text[0] < '0' || text[0] > '9') return malformed;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  const auto* suffix = std::find_if(std::begin(kSuffixes), std::end(kSuffixes),
                                    [&](const Suffix& s) { return s.text == text; });
  if (suffix == std::end(kSuffixes)) return malformed;
  const double thousandths = number * static_cast<double>(suffix->thousandths);
  const double value = quantity == QUANTITY_MILLI ? thousandths : thousandths / 1000;
  if (!(value < 9.2e18)) return base::InvalidArgumentError("is too large");
  if (value != static_cast<double>(static_cast<int64_t>(value))) {
    return base::InvalidArgumentError("is finer than the smallest unit, " +
                                      std::string(quantity == QUANTITY_MILLI ? "1m" : "1 byte"));
  }
  return FieldValue(static_cast<int64_t>(value));
}

std::string FormatQuantity(Quantity quantity, int64_t value) {
  for (const Suffix& suffix : kSuffixes) {
    if (quantity == QUANTITY_BYTES && suffix.thousandths < 1000) continue;
    const int64_t unit =
        quantity == QUANTITY_MILLI ? suffix.thousandths : suffix.thousandths / 1000;
    if (value != 0 && value % unit == 0)
      return std::to_string(value / unit) + std::string(suffix.text);
  }
  return std::to_string(value);
}

// ------------------------------------------------------------------------------------------- enums

// PROGRAM_KIND_PYTHON_MODULE of ProgramKind is written PythonModule; inside a scalar message in
// lower case.
std::string EnumText(const EnumValueDescriptor& value, bool lower_case) {
  // The name of the zero value ends in _UNSPECIFIED and so tells the prefix.
  const size_t prefix =
      value.type()->FindValueByNumber(0)->name().size() - std::string_view("UNSPECIFIED").size();
  std::string text;
  bool word_begins = true;
  for (const char c : value.name().substr(prefix)) {
    if (c != '_')
      text += word_begins && !lower_case
                  ? c
                  : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    word_begins = c == '_';
  }
  return text;
}

// The values of an enum but the zero, which stands for the absence of a value.
std::vector<const EnumValueDescriptor*> EnumValues(const EnumDescriptor& type) {
  std::vector<const EnumValueDescriptor*> values;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) values.push_back(type.value(i));
  }
  return values;
}

base::Result<FieldValue> ParseEnum(const EnumDescriptor& type, std::string_view text,
                                   bool lower_case, const std::string& alternative) {
  std::string expected = alternative;
  std::vector<std::string> texts;
  for (const EnumValueDescriptor* value : EnumValues(type)) {
    texts.push_back(EnumText(*value, lower_case));
    if (texts.back() == text) return FieldValue(EnumNumber{value->number()});
    expected += (expected.empty() ? "" : ", ") + texts.back();
  }
  const auto nearest = NearestName(text, {texts.begin(), texts.end()});
  return base::InvalidArgumentError(
      "must be one of " + expected +
      (nearest ? "; did you mean " + std::string(*nearest) + "?" : ""));
}

// ----------------------------------------------------------------------------------------- strings

base::Result<FieldValue> ParseString(std::string_view text, TextForm form) {
  if (form == TextForm::kPlainYaml && LooksLikeYamlNonString(text)) {
    return base::InvalidArgumentError("is no string in YAML; put it in quotes: \"" +
                                      std::string(text.substr(0, 40)) + "\"");
  }
  return FieldValue(std::string(text));
}

base::Result<FieldValue> ParseBool(std::string_view text) {
  if (text == "true") return FieldValue(true);
  if (text == "false") return FieldValue(false);
  return base::InvalidArgumentError("must be true or false");
}

}  // namespace

bool IsScalarField(const FieldDescriptor& field) {
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || IsDuration(field) ||
         IsScalarMessage(field);
}

std::vector<std::string> EnumTexts(const FieldDescriptor& field) {
  const bool inside_scalar = IsScalarMessage(field);
  const EnumDescriptor& type = *(inside_scalar ? EnumMember(field) : field).enum_type();
  std::vector<std::string> texts;
  for (const EnumValueDescriptor* value : EnumValues(type))
    texts.push_back(EnumText(*value, inside_scalar));
  return texts;
}

bool LooksLikeYamlNonString(std::string_view text) {
  static constexpr std::string_view kWords[] = {
      "null",  "Null", "NULL", "~",   "true", "True",  "TRUE", "false", "False",
      "FALSE", "yes",  "Yes",  "YES", "no",   "No",    "NO",   "on",    "On",
      "ON",    "off",  "Off",  "OFF", ".inf", "-.inf", ".nan"};
  if (std::find(std::begin(kWords), std::end(kWords), text) != std::end(kWords)) return true;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty()) return false;
  if (text.starts_with("0x") || text.starts_with("0o")) return true;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error != std::errc::invalid_argument && end == text.data() + text.size();
}

base::Result<FieldValue> ParseFieldValue(const FieldDescriptor& field, std::string_view text,
                                         TextForm form) {
  if (IsScalarMessage(field)) {
    const FieldDescriptor& integer = IntegerMember(field);
    const bool number = !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
    if (number && form != TextForm::kQuotedYaml) return ParseInteger(integer, text);
    return ParseEnum(*EnumMember(field).enum_type(), text, true, RangeText(integer));
  }
  if (IsDuration(field)) {
    auto duration = ParseDuration(text);
    if (!duration.ok()) return duration.status();
    return FieldValue(*duration);
  }
  if (const Quantity quantity = field.options().GetExtension(rule).quantity();
      quantity != QUANTITY_UNSPECIFIED) {
    return ParseQuantity(quantity, text);
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      if (form == TextForm::kQuotedYaml)
        return base::InvalidArgumentError("is a string; write the number without quotes");
      return ParseInteger(field, text);
    case FieldDescriptor::CPPTYPE_BOOL:
      if (form == TextForm::kQuotedYaml)
        return base::InvalidArgumentError("is a string; write it without quotes");
      return ParseBool(text);
    case FieldDescriptor::CPPTYPE_ENUM: return ParseEnum(*field.enum_type(), text, false, "");
    case FieldDescriptor::CPPTYPE_STRING: return ParseString(text, form);
    default: break;
  }
  LOCKSTEP_CHECK(false, "job.proto uses a field type that has no text form");
  return base::InternalError("unreachable");
}

Message& MutablePart(Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (!reflection.HasField(message, &field)) {
    Message* part = EmptyPart(*field.message_type()).New(message.GetArena());
    reflection.SetAllocatedMessage(&message, part, &field);
  }
  return *reflection.MutableMessage(&message, &field);
}

void StoreFieldValue(Message& message, const FieldDescriptor& field, const FieldValue& value) {
  const Reflection& reflection = *message.GetReflection();
  if (IsDuration(field)) {
    static_cast<google::protobuf::Duration&>(MutablePart(message, field)) =
        ToProto(std::get<base::Duration>(value));
    return;
  }
  if (IsScalarMessage(field)) {
    const bool integer = std::holds_alternative<int64_t>(value);
    StoreFieldValue(MutablePart(message, field), integer ? IntegerMember(field) : EnumMember(field),
                    value);
    return;
  }
  const bool add = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      const auto number = static_cast<int32_t>(std::get<int64_t>(value));
      add ? reflection.AddInt32(&message, &field, number)
          : reflection.SetInt32(&message, &field, number);
      return;
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      const int64_t number = std::get<int64_t>(value);
      add ? reflection.AddInt64(&message, &field, number)
          : reflection.SetInt64(&message, &field, number);
      return;
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool truth = std::get<bool>(value);
      add ? reflection.AddBool(&message, &field, truth)
          : reflection.SetBool(&message, &field, truth);
      return;
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = std::get<EnumNumber>(value).number;
      add ? reflection.AddEnumValue(&message, &field, number)
          : reflection.SetEnumValue(&message, &field, number);
      return;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string& text = std::get<std::string>(value);
      add ? reflection.AddString(&message, &field, text)
          : reflection.SetString(&message, &field, text);
      return;
    }
    default: LOCKSTEP_CHECK(false, "job.proto uses a field type that has no text form");
  }
}

FieldValue LoadFieldValue(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  if (IsDuration(field)) {
    return FromProto(
        static_cast<const google::protobuf::Duration&>(reflection.GetMessage(message, &field)));
  }
  if (IsScalarMessage(field)) {
    const Message& inner = reflection.GetMessage(message, &field);
    const bool integer = inner.GetReflection()->HasField(inner, &IntegerMember(field));
    return LoadFieldValue(inner, integer ? IntegerMember(field) : EnumMember(field));
  }
  const bool item = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return int64_t{item ? reflection.GetRepeatedInt32(message, &field, index)
                          : reflection.GetInt32(message, &field)};
    case FieldDescriptor::CPPTYPE_INT64:
      return item ? reflection.GetRepeatedInt64(message, &field, index)
                  : reflection.GetInt64(message, &field);
    case FieldDescriptor::CPPTYPE_BOOL:
      return item ? reflection.GetRepeatedBool(message, &field, index)
                  : reflection.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumNumber{item ? reflection.GetRepeatedEnumValue(message, &field, index)
                             : reflection.GetEnumValue(message, &field)};
    case FieldDescriptor::CPPTYPE_STRING:
      return item ? reflection.GetRepeatedString(message, &field, index)
                  : reflection.GetString(message, &field);
    default: break;
  }
  LOCKSTEP_CHECK(false, "job.proto uses a field type that has no text form");
  return FieldValue();
}

std::string FormatFieldValue(const FieldDescriptor& field, const FieldValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    const Quantity quantity = field.options().GetExtension(rule).quantity();
    return quantity == QUANTITY_UNSPECIFIED ? std::to_string(*number)
                                            : FormatQuantity(quantity, *number);
  }
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* duration = std::get_if<base::Duration>(&value))
    return FormatExactDuration(*duration);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  const bool inside_scalar = IsScalarMessage(field);
  const EnumDescriptor& type = *(inside_scalar ? EnumMember(field) : field).enum_type();
  const EnumValueDescriptor* known = type.FindValueByNumber(std::get<EnumNumber>(value).number);
  return known != nullptr ? EnumText(*known, inside_scalar)
                          : std::to_string(std::get<EnumNumber>(value).number);
}

}  // namespace lockstep::proto
