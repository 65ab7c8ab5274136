// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_TREE_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_TREE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/status.h"

namespace lockstep::collectives {

class Tree;
/// Shared: a pickle names one thing in many places. Never null in a Tree.
using TreePtr = std::shared_ptr<Tree>;

/// What others wrote as JSON or pickle: plain data, and nothing but data. Whoever walks through it
/// meets at most kNodesMax nodes and kDepthMax levels, since things that are named again and again
/// count each time: no text of a few bytes unfolds into a walk without an end, and nothing contains
/// itself. Confined to one thread.
class Tree {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInteger, kReal, kText, kList, kMap };
  static constexpr size_t kNodesMax = size_t{1} << 22;
  static constexpr size_t kDepthMax = 32;

  static TreePtr Null() { return std::make_shared<Tree>(Kind::kNull); }
  static TreePtr Bool(bool value);
  static TreePtr Integer(int64_t value);
  static TreePtr Real(double value);
  static TreePtr Text(std::string value);
  static TreePtr List() { return std::make_shared<Tree>(Kind::kList); }
  static TreePtr Map() { return std::make_shared<Tree>(Kind::kMap); }
  /// A list of texts, or of numbers.
  static TreePtr Texts(const std::vector<std::string>& values);
  static TreePtr Integers(const std::vector<int64_t>& values);

  explicit Tree(Kind kind) : kind_(kind) {}

  /// At the end of a list. Errors: InvalidArgument - what it is to go into is no list, or is part
  /// of something already, so that it could come to contain itself; OutOfRange - a limit.
  base::Status Append(TreePtr item);
  /// Into a map; what stood there under this key goes. Errors: as Append.
  base::Status Set(std::string key, TreePtr value);

  Kind kind() const { return kind_; }
  /// Empty where it is no list.
  const std::vector<TreePtr>& items() const { return items_; }
  /// In the order of their coming; empty where it is no map.
  const std::vector<std::pair<std::string, TreePtr>>& fields() const { return fields_; }
  /// The value under `key`; null where there is none, or where it is no map.
  const Tree* Find(std::string_view key) const;

  /// What it is, or nullopt where it is something else; an integer may stand as a real or, as in
  /// some of torch's maps, as a text.
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInteger() const;
  double real() const { return real_; }
  /// Empty where it is no text.
  const std::string& text() const { return text_; }

  // Of the value under `key`; a default where it is not there, or of another kind.
  int64_t IntegerAt(std::string_view key, int64_t otherwise = 0) const;
  bool BoolAt(std::string_view key) const;
  const std::string& TextAt(std::string_view key) const;
  const std::vector<TreePtr>& ItemsAt(std::string_view key) const;

 private:
  base::Status Adopt(const TreePtr& child);

  const Kind kind_;
  bool is_part_ = false;
  size_t nodes_ = 1;  // with all below it, each as often as a walk meets it
  size_t depth_ = 1;
  int64_t integer_ = 0;
  double real_ = 0;
  std::string text_;
  std::vector<TreePtr> items_;
  std::vector<std::pair<std::string, TreePtr>> fields_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_IMPORTS_TREE_H_
