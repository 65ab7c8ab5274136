// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/job_yaml.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "runtime/proto/field_options.pb.h"
#include "runtime/proto/field_value.h"
#include "runtime/proto/nearest_name.h"
#include "runtime/proto/yaml_tree.h"

namespace lockstep::proto {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string Join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

bool IsClusterOnly(const FieldDescriptor& field) {
  return field.options().GetExtension(rule).cluster_only();
}

bool IsScalarNode(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kPlain || node.kind == YamlNode::Kind::kQuoted;
}

std::string_view KindText(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: return "nothing";
    case YamlNode::Kind::kPlain:
    case YamlNode::Kind::kQuoted: return "a single value";
    case YamlNode::Kind::kList: return "a list";
    case YamlNode::Kind::kMap: return "a map";
  }
  return "";
}

std::vector<std::string_view> FieldNames(const Descriptor& type) {
  std::vector<std::string_view> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->json_name());
  return names;
}

const FieldDescriptor* FindField(const Descriptor& type, std::string_view name) {
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == name) return type.field(i);
  }
  return nullptr;
}

std::string UnknownField(const Descriptor& type, std::string_view name) {
  const std::vector<std::string_view> names = FieldNames(type);
  if (const auto nearest = NearestName(name, names))
    return "unknown field; did you mean " + std::string(*nearest) + "?";
  std::string text = "unknown field; known here: ";
  for (const std::string_view known : names)
    text += (known == names[0] ? "" : ", ") + std::string(known);
  return names.empty() ? "unknown field; there are none here" : text;
}

std::string ClusterNote(const std::string& path) {
  return path + " means something to a cluster alone; ignored here";
}

// ----------------------------------------------------------------------------------------- reading

// Carries out one read. Recursion is bounded: the tree by YamlTree::kMaxDepth, the messages by
// job.proto.
class Reader {
 public:
  explicit Reader(ReadReport& report) : report_(report) {}

  void ReadMessage(const YamlNode& node, const std::string& path, Message& message) {
    if (node.kind != YamlNode::Kind::kMap) return WrongKind(node, path, "a map of fields");
    ForEachKey(node, path,
               [&](const std::string& key, const YamlNode& key_node, const YamlNode& value) {
                 const FieldDescriptor* field = FindField(*message.GetDescriptor(), key);
                 if (field == nullptr)
                   return Add(key_node.line, Join(path, key), "",
                              UnknownField(*message.GetDescriptor(), key));
                 ReadField(value, Join(path, key), message, *field);
               });
  }

  void ReadField(const YamlNode& node, const std::string& path, Message& message,
                 const FieldDescriptor& field) {
    if (IsClusterOnly(field)) return report_.notes.push_back(ClusterNote(path));
    if (node.kind == YamlNode::Kind::kNull) return;  // as if it were not there
    if (field.is_map()) return ReadMap(node, path, message, field);
    if (field.is_repeated()) return ReadList(node, path, message, field);
    if (!IsScalarField(field)) {
      // An empty message is something too: `placement: {local: {}}`.
      return ReadMessage(node, path, MutablePart(message, field));
    }
    if (!IsScalarNode(node)) return WrongKind(node, path, "a single value");
    const bool quoted = node.kind == YamlNode::Kind::kQuoted;
    StoreText(node.text, quoted ? TextForm::kQuotedYaml : TextForm::kPlainYaml, node.line, path,
              message, field);
  }

  void StoreText(std::string_view text, TextForm form, int line, const std::string& path,
                 Message& message, const FieldDescriptor& field) {
    auto value = ParseFieldValue(field, text, form);
    if (!value.ok())
      return Add(line, path, ShownValue(message, field, text), value.status().message());
    StoreFieldValue(message, field, *value);
    report_.paths.push_back(path);
  }

  // `key` and `value` of one entry; an old entry of that key is replaced.
  void StoreMapEntry(const YamlNode& key, const YamlNode& value, const std::string& path,
                     Message& message, const FieldDescriptor& field) {
    const FieldDescriptor& key_field = *field.message_type()->map_key();
    const std::string entry_path = Join(path, key.text);
    auto parsed = ParseFieldValue(key_field, key.text, TextForm::kFree);
    if (!parsed.ok()) return Add(key.line, entry_path, "", "key " + parsed.status().message());
    if (!IsScalarNode(value)) return WrongKind(value, entry_path, "a single value");
    EraseMapEntry(message, field, *parsed);
    Message* entry = message.GetReflection()->AddMessage(&message, &field);
    StoreFieldValue(*entry, key_field, *parsed);
    const bool quoted = value.kind == YamlNode::Kind::kQuoted;
    StoreText(value.text, quoted ? TextForm::kQuotedYaml : TextForm::kPlainYaml, value.line,
              entry_path, *entry, *field.message_type()->map_value());
  }

 private:
  void Add(int line, const std::string& path, std::string value, std::string what) {
    report_.problems.push_back({path, std::move(value), std::move(what), line, ""});
  }

  void WrongKind(const YamlNode& node, const std::string& path, std::string_view expected) {
    const std::string hint =
        expected == "a list" && IsScalarNode(node) ? ": [" + ShortValue(node.text) + "]" : "";
    Add(node.line, path, "",
        "is " + std::string(KindText(node)) + ", expected " + std::string(expected) + hint);
  }

  // Secrets stay out of messages too.
  std::string ShownValue(const Message& message, const FieldDescriptor& field,
                         std::string_view text) {
    if (message.GetDescriptor() == EnvironmentVariable::descriptor() && field.name() == "value")
      return "";
    return ShortValue(text);
  }

  template <class Function>
  void ForEachKey(const YamlNode& map, const std::string& path, Function function) {
    std::map<std::string, int> line_of_key;
    for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
      const YamlNode& key = *map.children[i];
      if (!IsScalarNode(key)) {
        Add(key.line, path, "",
            "has a key that is " + std::string(KindText(key)) + ", expected a name");
        continue;
      }
      const auto [first, inserted] = line_of_key.emplace(key.text, key.line);
      if (!inserted) {
        Add(key.line, Join(path, key.text), "",
            "is given twice, first in line " + std::to_string(first->second));
        continue;
      }
      function(key.text, key, *map.children[i + 1]);
    }
  }

  void ReadMap(const YamlNode& node, const std::string& path, Message& message,
               const FieldDescriptor& field) {
    if (node.kind != YamlNode::Kind::kMap) return WrongKind(node, path, "a map");
    ForEachKey(node, path, [&](const std::string&, const YamlNode& key, const YamlNode& value) {
      StoreMapEntry(key, value, path, message, field);
    });
  }

  static void EraseMapEntry(Message& message, const FieldDescriptor& field, const FieldValue& key) {
    const Reflection& reflection = *message.GetReflection();
    const int last = reflection.FieldSize(message, &field) - 1;
    for (int i = 0; i <= last; ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      if (LoadFieldValue(entry, *field.message_type()->map_key()) != key) continue;
      reflection.SwapElements(&message, &field, i, last);
      reflection.RemoveLast(&message, &field);
      return;
    }
  }

  void ReadList(const YamlNode& node, const std::string& path, Message& message,
                const FieldDescriptor& field) {
    if (node.kind != YamlNode::Kind::kList) return WrongKind(node, path, "a list");
    const Reflection& reflection = *message.GetReflection();
    reflection.ClearField(&message, &field);
    const size_t paths_before = report_.paths.size();
    for (size_t i = 0; i < node.children.size(); ++i) {
      const YamlNode& item = *node.children[i];
      const std::string item_path = path + "[" + std::to_string(i) + "]";
      if (!IsScalarField(field)) {
        ReadMessage(item, item_path, *reflection.AddMessage(&message, &field));
      } else if (!IsScalarNode(item)) {
        WrongKind(item, item_path, "a single value");
      } else {
        const bool quoted = item.kind == YamlNode::Kind::kQuoted;
        StoreText(item.text, quoted ? TextForm::kQuotedYaml : TextForm::kPlainYaml, item.line,
                  item_path, message, field);
      }
    }
    report_.paths.resize(paths_before);
    report_.paths.push_back(path);
  }

  ReadReport& report_;
};

// ------------------------------------------------------------------------------------------- --set

// The message that holds the field of `path`, and what is left of the path below the field (the key
// of a map).
struct FieldPlace {
  Message* message;
  const FieldDescriptor* field;
  std::string path;
  std::string_view rest;
};

std::optional<FieldPlace> FindPlace(std::string_view path, TrainingJob* job, ReadReport& report) {
  Message* message = job;
  std::string walked;
  for (std::string_view rest = path;;) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    const FieldDescriptor* field = FindField(*message->GetDescriptor(), name);
    if (field == nullptr) {
      const std::string shown = Join(walked, name.substr(0, 64));
      report.problems.push_back({shown, "", UnknownField(*message->GetDescriptor(), name), 0, ""});
      return std::nullopt;
    }
    walked = Join(walked, name);
    if (IsClusterOnly(*field)) {
      report.notes.push_back(ClusterNote(walked));
      return std::nullopt;
    }
    if (rest.empty() || field->is_map()) return FieldPlace{message, field, walked, rest};
    if (IsScalarField(*field) || field->is_repeated()) {
      const std::string what =
          field->is_repeated() ? "is a list; it is set as a whole" : "is a single value, not a map";
      report.problems.push_back({walked, "", what, 0, ""});
      return std::nullopt;
    }
    message = &MutablePart(*message, *field);
  }
}

// ----------------------------------------------------------------------------------------- writing

// A string that YAML and kubectl take for the same string without quotes.
bool NeedsNoQuotes(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '/' || c == '.' || c == '-';
  };
  return !text.empty() && text[0] != '-' && std::all_of(text.begin(), text.end(), plain) &&
         !LooksLikeYamlNonString(text);
}

std::string Quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += "\\x";
      quoted += kHex[byte >> 4];
      quoted += kHex[byte & 15];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

class Writer {
 public:
  explicit Writer(const std::function<std::string(const std::string&)>& comment)
      : comment_(comment) {}

  std::string Take() { return std::move(text_); }

  void WriteMessage(const Message& message, const std::string& path, size_t indent) {
    const Descriptor& type = *message.GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (IsSet(message, field)) WriteField(message, field, Join(path, field.json_name()), indent);
    }
  }

 private:
  static constexpr size_t kCommentColumn = 48;

  static bool IsSet(const Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    return field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                               : reflection.HasField(message, &field);
  }

  std::string ScalarText(const Message& message, const FieldDescriptor& field, int index = -1) {
    const std::string text = FormatFieldValue(field, LoadFieldValue(message, field, index));
    const bool is_string = field.cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    return !is_string || NeedsNoQuotes(text) ? text : Quoted(text);
  }

  void Line(size_t indent, const std::string& content, const std::string& path) {
    const std::string comment = comment_ == nullptr || path.empty() ? "" : comment_(path);
    std::string line = std::string(indent, ' ') + content;
    if (!comment.empty())
      line += std::string(line.size() < kCommentColumn ? kCommentColumn - line.size() : 1, ' ') +
              "# " + comment;
    text_ += line + "\n";
  }

  void WriteField(const Message& message, const FieldDescriptor& field, const std::string& path,
                  size_t indent) {
    const Reflection& reflection = *message.GetReflection();
    const std::string key = field.json_name() + ":";
    if (field.is_map()) {
      Line(indent, key, "");
      WriteMap(message, field, path, indent + 2);
    } else if (field.is_repeated()) {
      WriteList(message, field, key, path, indent);
    } else if (IsScalarField(field)) {
      Line(indent, key + " " + ScalarText(message, field), path);
    } else {
      const Message& inner = reflection.GetMessage(message, &field);
      const size_t before = text_.size();
      Line(indent, key, "");
      const size_t after = text_.size();
      WriteMessage(inner, path, indent + 2);
      if (text_.size() != after) return;
      text_.resize(before);
      Line(indent, key + " {}", "");
    }
  }

  void WriteMap(const Message& message, const FieldDescriptor& field, const std::string& path,
                size_t indent) {
    const FieldDescriptor& key_field = *field.message_type()->map_key();
    std::map<std::string, std::string> entries;  // sorted, so that equal jobs have equal texts
    for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
      const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
      entries[FormatFieldValue(key_field, LoadFieldValue(entry, key_field))] =
          ScalarText(entry, *field.message_type()->map_value());
    }
    for (const auto& [key, value] : entries) {
      Line(indent, (NeedsNoQuotes(key) ? key : Quoted(key)) + ": " + value, Join(path, key));
    }
  }

  void WriteList(const Message& message, const FieldDescriptor& field, const std::string& key,
                 const std::string& path, size_t indent) {
    const Reflection& reflection = *message.GetReflection();
    const int count = reflection.FieldSize(message, &field);
    if (IsScalarField(field)) {
      std::string items;
      for (int i = 0; i < count; ++i) items += (i == 0 ? "" : ", ") + ScalarText(message, field, i);
      return Line(indent, key + " [" + items + "]", path);
    }
    Line(indent, key, path);
    for (int i = 0; i < count; ++i) {
      const size_t before = text_.size();
      WriteMessage(reflection.GetRepeatedMessage(message, &field, i),
                   path + "[" + std::to_string(i) + "]", indent + 2);
      if (text_.size() == before) Line(indent + 2, "{}", "");
      text_[before + indent] = '-';
    }
  }

  const std::function<std::string(const std::string&)>& comment_;
  std::string text_;
};

// Without these two kubectl does not know what the file is.
void RequireTypeOfFile(const TrainingJob& job, ReadReport& report) {
  for (const char* name : {"apiVersion", "kind"}) {
    const FieldDescriptor& field = *FindField(*job.GetDescriptor(), name);
    const auto about_it = [&](const Problem& problem) { return problem.path == name; };
    if (job.GetReflection()->HasField(job, &field)) continue;
    if (std::any_of(report.problems.begin(), report.problems.end(), about_it)) continue;
    const std::string line = std::string(name) + ": " + field.options().GetExtension(rule).only();
    report.problems.push_back({name, "", "is missing; write " + line, 0, ""});
  }
}

}  // namespace

ReadReport ReadJobYaml(std::string_view text, TrainingJob* job) {
  ReadReport report;
  auto tree = YamlTree::Parse(text);
  if (!tree.ok()) {
    report.problems.push_back({"", "", tree.status().message(), 0, ""});
    return report;
  }
  Reader(report).ReadMessage(tree->root(), "", *job);
  if (tree->root().kind == YamlNode::Kind::kMap) RequireTypeOfFile(*job, report);
  return report;
}

ReadReport SetJobField(std::string_view path, std::string_view text, TrainingJob* job) {
  ReadReport report;
  const std::optional<FieldPlace> place = FindPlace(path, job, report);
  if (!place) return report;
  Reader reader(report);
  if (place->field->is_map() && !place->rest.empty()) {
    YamlNode key;
    key.kind = YamlNode::Kind::kQuoted;
    key.text = place->rest;
    YamlNode value;
    value.kind =
        place->field->message_type()->map_value()->cpp_type() == FieldDescriptor::CPPTYPE_STRING
            ? YamlNode::Kind::kQuoted
            : YamlNode::Kind::kPlain;
    value.text = text;
    reader.StoreMapEntry(key, value, place->path, *place->message, *place->field);
    return report;
  }
  if (IsScalarField(*place->field) && !place->field->is_repeated()) {
    reader.StoreText(text, TextForm::kFree, 0, place->path, *place->message, *place->field);
    return report;
  }
  auto tree = YamlTree::Parse(text);
  if (!tree.ok()) {
    report.problems.push_back({place->path, ShortValue(text), tree.status().message(), 0, ""});
    return report;
  }
  reader.ReadField(tree->root(), place->path, *place->message, *place->field);
  for (Problem& problem : report.problems) problem.line = 0;  // there is no file to look into
  return report;
}

std::string FormatJobYaml(const TrainingJob& job,
                          const std::function<std::string(const std::string&)>& comment) {
  Writer writer(comment);
  writer.WriteMessage(job, "", 0);
  return writer.Take();
}

}  // namespace lockstep::proto
