// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_FIELD_VALUE_H_
#define LOCKSTEP_RUNTIME_PROTO_FIELD_VALUE_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/result.h"

/// How one value of a job spec is written as text: the same in YAML, in --set, in flags, in the
/// environment and in the rules of job.proto (defaults and bounds). Pure functions over protobuf's
/// descriptors.
namespace lockstep::proto {

/// Where a text comes from decides what it may look like. A plain YAML scalar in the place of a
/// string must not look like a number, a boolean or null, since kubectl would take it for one.
enum class TextForm { kPlainYaml, kQuotedYaml, kFree };

struct EnumNumber {
  int number = 0;
  friend auto operator<=>(EnumNumber, EnumNumber) = default;
};
using FieldValue = std::variant<int64_t, bool, std::string, EnumNumber, base::Duration>;

/// True of fields that are written as one scalar: also Duration, and messages with the option
/// `scalar`.
bool IsScalarField(const google::protobuf::FieldDescriptor& field);

/// Reads one value (of a list: one item) of `field`.
/// Errors: InvalidArgument - what is wrong and what is expected there, without the field's name or
/// the text itself.
base::Result<FieldValue> ParseFieldValue(const google::protobuf::FieldDescriptor& field,
                                         std::string_view text, TextForm form = TextForm::kFree);

/// `value` must come from ParseFieldValue of this field. Adds an item where the field is a list.
void StoreFieldValue(google::protobuf::Message& message,
                     const google::protobuf::FieldDescriptor& field, const FieldValue& value);

/// Reflection::MutableMessage for a field of job.proto. Where that makes a message it asks
/// protobuf's factory, which at its first use makes the descriptors of descriptor.proto: a fifth of
/// all instructions of `lockstep run` up to its first fork.
google::protobuf::Message& MutablePart(google::protobuf::Message& message,
                                       const google::protobuf::FieldDescriptor& field);

/// What a scalar field holds; of a list, item `index`. The field must be set.
FieldValue LoadFieldValue(const google::protobuf::Message& message,
                          const google::protobuf::FieldDescriptor& field, int index = -1);

/// The inverse of ParseFieldValue.
std::string FormatFieldValue(const google::protobuf::FieldDescriptor& field,
                             const FieldValue& value);

/// What may stand in an enum field: {"Auto", "Executable" ...}, or {"auto", "cpu", "gpu"} inside a
/// scalar message.
std::vector<std::string> EnumTexts(const google::protobuf::FieldDescriptor& field);

/// Whether YAML takes this plain scalar for something else than a string.
bool LooksLikeYamlNonString(std::string_view text);

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_FIELD_VALUE_H_
