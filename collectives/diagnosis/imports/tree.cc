// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/diagnosis/imports/tree.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace lockstep::collectives {
namespace {

const std::string& NoText() {
  static const std::string& none = *new std::string;
  return none;
}

const std::vector<TreePtr>& NoItems() {
  static const std::vector<TreePtr>& none = *new std::vector<TreePtr>;
  return none;
}

}  // namespace

TreePtr Tree::Bool(bool value) {
  TreePtr tree = std::make_shared<Tree>(Kind::kBool);
  tree->integer_ = value ? 1 : 0;
  return tree;
}

TreePtr Tree::Integer(int64_t value) {
  TreePtr tree = std::make_shared<Tree>(Kind::kInteger);
  tree->integer_ = value;
  return tree;
}

TreePtr Tree::Real(double value) {
  TreePtr tree = std::make_shared<Tree>(Kind::kReal);
  tree->real_ = value;
  return tree;
}

TreePtr Tree::Text(std::string value) {
  TreePtr tree = std::make_shared<Tree>(Kind::kText);
  tree->text_ = std::move(value);
  return tree;
}

TreePtr Tree::Texts(const std::vector<std::string>& values) {
  TreePtr tree = List();
  for (const std::string& value : values) tree->items_.push_back(Text(value));
  tree->nodes_ += values.size();
  if (!values.empty()) tree->depth_ = 2;
  return tree;
}

TreePtr Tree::Integers(const std::vector<int64_t>& values) {
  TreePtr tree = List();
  for (const int64_t value : values) tree->items_.push_back(Integer(value));
  tree->nodes_ += values.size();
  if (!values.empty()) tree->depth_ = 2;
  return tree;
}

base::Status Tree::Adopt(const TreePtr& child) {
  // Itself, or what it is already part of, whose count would be wrong from now on.
  if (is_part_ || child.get() == this) {
    return base::InvalidArgumentError(
        "it adds to something that is already part of something else");
  }
  if (child->nodes_ > kNodesMax - nodes_) {
    return base::OutOfRangeError("it has over " + std::to_string(kNodesMax) +
                                 " values when each is counted as often as it is named");
  }
  if (child->depth_ >= kDepthMax) {
    return base::OutOfRangeError("it is nested deeper than " + std::to_string(kDepthMax) +
                                 " levels");
  }
  child->is_part_ = true;
  nodes_ += child->nodes_;
  depth_ = std::max(depth_, child->depth_ + 1);
  return base::OkStatus();
}

base::Status Tree::Append(TreePtr item) {
  if (kind_ != Kind::kList) return base::InvalidArgumentError("it appends to what is no list");
  RETURN_IF_ERROR(Adopt(item));
  items_.push_back(std::move(item));
  return base::OkStatus();
}

base::Status Tree::Set(std::string key, TreePtr value) {
  if (kind_ != Kind::kMap) return base::InvalidArgumentError("it sets a key of what is no map");
  RETURN_IF_ERROR(Adopt(value));
  // A map with as many keys as a dump has groups; a name that comes twice is nobody's habit.
  fields_.emplace_back(std::move(key), std::move(value));
  return base::OkStatus();
}

const Tree* Tree::Find(std::string_view key) const {
  const auto found = std::find_if(fields_.rbegin(), fields_.rend(),
                                  [&](const auto& field) { return field.first == key; });
  return found != fields_.rend() ? found->second.get() : nullptr;
}

std::optional<bool> Tree::AsBool() const {
  return kind_ == Kind::kBool ? std::optional(integer_ != 0) : std::nullopt;
}

std::optional<int64_t> Tree::AsInteger() const {
  constexpr double kRealMax = 9.2e18;
  switch (kind_) {
    case Kind::kInteger: return integer_;
    case Kind::kReal:
      if (std::abs(real_) < kRealMax) return static_cast<int64_t>(real_);  // false for NaN
      return std::nullopt;
    case Kind::kText: {
      int64_t value = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
      if (error != std::errc() || end != text_.data() + text_.size()) return std::nullopt;
      return value;
    }
    default: return std::nullopt;
  }
}

int64_t Tree::IntegerAt(std::string_view key, int64_t otherwise) const {
  const Tree* const value = Find(key);
  return value != nullptr ? value->AsInteger().value_or(otherwise) : otherwise;
}

bool Tree::BoolAt(std::string_view key) const {
  const Tree* const value = Find(key);
  return value != nullptr && value->AsBool().value_or(false);
}

const std::string& Tree::TextAt(std::string_view key) const {
  const Tree* const value = Find(key);
  return value != nullptr ? value->text() : NoText();
}

const std::vector<TreePtr>& Tree::ItemsAt(std::string_view key) const {
  const Tree* const value = Find(key);
  return value != nullptr ? value->items() : NoItems();
}

}  // namespace lockstep::collectives
