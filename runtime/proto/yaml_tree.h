// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROTO_YAML_TREE_H_
#define LOCKSTEP_RUNTIME_PROTO_YAML_TREE_H_

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace lockstep::proto {

/// One node of a YAML document. Aliases are the node that they name, so a tree may share branches.
struct YamlNode {
  enum class Kind { kNull, kPlain, kQuoted, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;                           // from 1
  std::string text;                       // of scalars; of a plain one still to be understood
  std::vector<const YamlNode*> children;  // items of a list; key, value, key, value ... of a map
  size_t expanded_nodes = 1;  // with its children, each counted as often as aliases repeat it
};

/// A YAML document of a size that a person could have written: whatever the bytes, parsing ends
/// within a second and 100 MB. A value; movable.
class YamlTree {
 public:
  /// What `kubectl apply` can hold of an object in its own annotation. Also keeps yaml-cpp within
  /// bounds: its scanner queues the tokens of an unfinished list, up to 250 bytes of memory for a
  /// byte of input ("[[[[..." of this size takes 61 MiB and 52 ms).
  static constexpr size_t kMaxBytes = size_t{256} << 10;
  static constexpr size_t kMaxDepth = 64;
  static constexpr size_t kMaxNodes = 20'000;  // after the expansion of aliases

  /// Errors: InvalidArgument - not YAML (with line and column), more than one document, or above
  /// one of the limits.
  static base::Result<YamlTree> Parse(std::string_view text);

  const YamlNode& root() const { return *root_; }

 private:
  friend class YamlTreeBuilder;
  std::deque<YamlNode> nodes_;  // a deque, so that nodes stay where they are
  const YamlNode* root_ = nullptr;
};

}  // namespace lockstep::proto

#endif  // LOCKSTEP_RUNTIME_PROTO_YAML_TREE_H_
