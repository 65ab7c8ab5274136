// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <map>
#include <streambuf>

namespace lockstep::proto {
namespace {

// Reads from memory without a copy.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // only ever read
    setg(begin, begin, begin + text.size());
  }
};

std::string AtLine(int line) { return "line " + std::to_string(line) + ": "; }

}  // namespace

// Takes yaml-cpp's events. A limit that is broken is remembered, and the events after it are passed
// over: the parser offers no way to stop it but an exception.
class YamlTreeBuilder : public YAML::EventHandler {
 public:
  explicit YamlTreeBuilder(YamlTree& tree) : tree_(tree) {}

  const std::string& error() const { return error_; }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    AddScalar(mark, YamlNode::Kind::kNull, "", anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // "?" is a plain scalar, "!" a quoted one.
    if (tag != "?" && tag != "!") return Refuse(mark, "the tag " + tag + " is not supported");
    const bool plain = tag == "?";
    const bool null =
        plain && (value == "~" || value == "null" || value == "Null" || value == "NULL");
    AddScalar(mark,
              null    ? YamlNode::Kind::kNull
              : plain ? YamlNode::Kind::kPlain
                      : YamlNode::Kind::kQuoted,
              value, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!error_.empty()) return;
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) return Refuse(mark, "an alias inside of what it names");
    Attach(mark, found->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, YamlNode::Kind::kList, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, YamlNode::Kind::kMap, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct OpenNode {
    YamlNode* node;
    YAML::anchor_t anchor;
  };

  void Refuse(const YAML::Mark& mark, const std::string& why) {
    if (error_.empty()) error_ = AtLine(mark.line + 1) + why;
  }

  YamlNode* Make(const YAML::Mark& mark, YamlNode::Kind kind) {
    YamlNode& node = tree_.nodes_.emplace_back();
    node.kind = kind;
    node.line = mark.line + 1;
    return &node;
  }

  void AddScalar(const YAML::Mark& mark, YamlNode::Kind kind, const std::string& text,
                 YAML::anchor_t anchor) {
    if (!error_.empty()) return;
    YamlNode* node = Make(mark, kind);
    node->text = text;
    if (anchor != 0) anchors_[anchor] = node;
    Attach(mark, node);
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YamlNode::Kind kind,
            YAML::anchor_t anchor) {
    if (!error_.empty()) return;
    if (tag != "?" && !tag.empty()) return Refuse(mark, "the tag " + tag + " is not supported");
    if (open_.size() == YamlTree::kMaxDepth) {
      return Refuse(mark, "nested deeper than " + std::to_string(YamlTree::kMaxDepth) + " levels");
    }
    open_.push_back({Make(mark, kind), anchor});
  }

  void Close() {
    if (!error_.empty()) return;
    const OpenNode closed = open_.back();
    open_.pop_back();
    if (closed.anchor != 0) anchors_[closed.anchor] = closed.node;
    YAML::Mark mark;
    mark.line = closed.node->line - 1;
    Attach(mark, closed.node);
  }

  void Attach(const YAML::Mark& mark, const YamlNode* node) {
    if (open_.empty()) {
      tree_.root_ = node;
      return;
    }
    YamlNode& parent = *open_.back().node;
    parent.children.push_back(node);
    parent.expanded_nodes += node->expanded_nodes;
    if (parent.expanded_nodes > YamlTree::kMaxNodes) {
      Refuse(mark, "more than " + std::to_string(YamlTree::kMaxNodes) +
                       " values (aliases counted as what they name)");
    }
  }

  YamlTree& tree_;
  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, const YamlNode*> anchors_;
  std::string error_;
};

base::Result<YamlTree> YamlTree::Parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return base::InvalidArgumentError("it has " + std::to_string(text.size()) +
                                      " bytes; a job file has at most " +
                                      std::to_string(kMaxBytes));
  }
  YamlTree tree;
  YamlTreeBuilder builder(tree);
  ViewBuffer buffer(text);
  std::istream stream(&buffer);
  // yaml-cpp reports malformed input by exceptions; they end here.
  try {
    YAML::Parser parser(stream);
    const bool any = parser.HandleNextDocument(builder);
    if (!builder.error().empty()) return base::InvalidArgumentError(builder.error());
    if (!any || tree.root_ == nullptr) return base::InvalidArgumentError("it is empty");
    YamlTree second;
    YamlTreeBuilder second_builder(second);
    if (parser.HandleNextDocument(second_builder)) {
      return base::InvalidArgumentError(
          "it holds more than one document (---); a job file holds one job");
    }
  } catch (const YAML::Exception& error) {
    return base::InvalidArgumentError("no valid YAML at line " +
                                      std::to_string(error.mark.line + 1) + ", column " +
                                      std::to_string(error.mark.column + 1) + ": " + error.msg);
  }
  return tree;
}

}  // namespace lockstep::proto
