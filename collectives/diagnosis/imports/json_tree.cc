// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/json_tree.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <cstdio>
#include <utility>

#include "runtime/base/json_string.h"

namespace lockstep::collectives {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr size_t kReasonShownMax = 300;
/// Up to here doubles are integers without a gap.
constexpr double kExactMax = 9007199254740992.0;

base::Result<TreePtr> TreeOf(const Struct& object);

TreePtr NumberOf(double number) {
  if (std::trunc(number) == number && std::abs(number) <= kExactMax)
    return Tree::Integer(static_cast<int64_t>(number));
  return Tree::Real(number);
}

// As deep as the parser went, which is 100 levels at most.
base::Result<TreePtr> TreeOf(const Value& value) {
  switch (value.kind_case()) {
    case Value::kBoolValue: return Tree::Bool(value.bool_value());
    case Value::kNumberValue: return NumberOf(value.number_value());
    case Value::kStringValue: return Tree::Text(value.string_value());
    case Value::kStructValue: return TreeOf(value.struct_value());
    case Value::kListValue: {
      const TreePtr list = Tree::List();
      for (const Value& item : value.list_value().values()) {
        ASSIGN_OR_RETURN(TreePtr tree, TreeOf(item));
        RETURN_IF_ERROR(list->Append(std::move(tree)));
      }
      return list;
    }
    default: return Tree::Null();
  }
}

base::Result<TreePtr> TreeOf(const Struct& object) {
  const TreePtr map = Tree::Map();
  for (const auto& [key, value] : object.fields()) {
    ASSIGN_OR_RETURN(TreePtr tree, TreeOf(value));
    RETURN_IF_ERROR(map->Set(key, std::move(tree)));
  }
  return map;
}

/// The parser's reason, on one line.
std::string Reason(const std::string& told) {
  std::string reason;
  for (const char c : told.substr(0, kReasonShownMax))
    reason += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
  return reason;
}

void AppendTree(const Tree& tree, std::string& out) {
  const char* separator = "";
  switch (tree.kind()) {
    case Tree::Kind::kNull: out += "null"; break;
    case Tree::Kind::kBool: out += *tree.AsBool() ? "true" : "false"; break;
    case Tree::Kind::kInteger: out += std::to_string(*tree.AsInteger()); break;
    case Tree::Kind::kReal: {
      char text[32];
      std::snprintf(text, sizeof text, "%.17g", tree.real());
      out += std::isfinite(tree.real()) ? text : "null";
      break;
    }
    case Tree::Kind::kText: base::AppendJsonString(tree.text(), &out); break;
    case Tree::Kind::kList:
      out += '[';
      for (const TreePtr& item : tree.items()) {
        out += std::exchange(separator, ",");
        AppendTree(*item, out);
      }
      out += ']';
      break;
    case Tree::Kind::kMap:
      out += '{';
      for (const auto& [key, value] : tree.fields()) {
        out += std::exchange(separator, ",");
        base::AppendJsonString(key, &out);
        out += ':';
        AppendTree(*value, out);
      }
      out += '}';
      break;
  }
}

}  // namespace

base::Result<TreePtr> ReadJson(std::string_view text) {
  Struct object;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(text.data(), text.size()), &object);
  if (!parsed.ok())
    return base::InvalidArgumentError("no JSON object: " + Reason(parsed.ToString()));
  auto tree = TreeOf(object);
  return tree.ok() ? tree : tree.status().WithFrame("JSON");
}

std::string WriteJson(const Tree& tree) {
  std::string out;
  AppendTree(tree, out);
  return out;
}

}  // namespace lockstep::collectives
