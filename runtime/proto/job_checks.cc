// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/job_checks.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/check.h"
#include "runtime/proto/duration_text.h"
#include "runtime/proto/field_options.pb.h"
#include "runtime/proto/field_value.h"
#include "runtime/proto/link_text.h"
#include "runtime/proto/port_range_text.h"

namespace lockstep::proto {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMaxProcessesPerNode = 4096;  // of ProcessesPerNode.count
constexpr int kMaxTotalProcesses = 65536;   // of Gang.total_processes
constexpr int kDefaultMaxItems = 4096;
constexpr size_t kDefaultMaxBytes = 4096;  // PATH_MAX

const FieldRule& RuleOf(const FieldDescriptor& field) { return field.options().GetExtension(rule); }

FieldValue ParseRule(const FieldDescriptor& field, const std::string& text) {
  auto value = ParseFieldValue(field, text);
  LOCKSTEP_CHECK(value.ok(), "a default or bound in job.proto cannot be read");
  return *std::move(value);
}

// ---------------------------------------------------------------------------------------- defaults

void ApplyRuleDefaults(Message& message) {
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const FieldRule& field_rule = RuleOf(field);
    if (field.is_repeated() || field_rule.cluster_only() ||
        field.real_containing_oneof() != nullptr)
      continue;
    if (!IsScalarField(field)) {
      ApplyRuleDefaults(MutablePart(message, field));
    } else if (!field_rule.default_().empty() && !reflection.HasField(message, &field)) {
      StoreFieldValue(message, field, ParseRule(field, field_rule.default_()));
    }
  }
}

void ApplyCountDefaults(Gang& gang) {
  const int nodes = gang.nodes();
  if (nodes < 1 || nodes > kNodesMax) return;
  if (!gang.has_min_nodes()) gang.set_min_nodes(nodes);
  if (!gang.has_max_nodes()) gang.set_max_nodes(nodes);
  if (!gang.has_processes_per_node()) {
    const int total = gang.has_total_processes() ? gang.total_processes() : nodes;
    const bool even = total > 0 && total % nodes == 0 && total / nodes <= kMaxProcessesPerNode;
    if (even) gang.mutable_processes_per_node()->set_count(total / nodes);
  }
  const int count = gang.processes_per_node().count();
  if (!gang.has_total_processes() && count >= 1 && count <= kMaxProcessesPerNode) {
    gang.set_total_processes(
        static_cast<int>(std::min<int64_t>(int64_t{count} * nodes, INT32_MAX)));
  }
}

// -------------------------------------------------------------------------------------- validation

bool IsLabelCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsDnsLabel(std::string_view text) {
  return !text.empty() && IsLabelCharacter(text.front()) && IsLabelCharacter(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsLabelCharacter(c) || c == '-'; });
}

bool IsHost(std::string_view text) {
  // With '-' in front ssh would take it for an option.
  return !text.empty() && text[0] != '-' && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == ':' ||
           c == '_' || c == '%';
  });
}

// What is wrong with the text's form; "" when nothing is.
std::string FormatProblem(Format format, std::string_view text) {
  switch (format) {
    case FORMAT_DNS_LABEL:
      return IsDnsLabel(text)
                 ? ""
                 : "must consist of a-z, 0-9 and -, and begin and end with a letter or digit";
    case FORMAT_ENV_NAME:
      return !text.empty() && text.find('=') == std::string_view::npos
                 ? ""
                 : "must be a variable's name, without =";
    case FORMAT_HOST: return IsHost(text) ? "" : "must be a host name or an address";
    case FORMAT_PORT_RANGE: {
      const base::Result<PortSpan> ports = ParsePortSpan(text);
      return ports.ok() ? "" : ports.status().message();
    }
    case FORMAT_LINK: {
      const base::Result<LinkFigures> link = ParseLinkFigures(text);
      return link.ok() ? "" : link.status().message();
    }
    default: return "";
  }
}

// Length of the UTF-8 character that `text` begins with; 0 when it begins with none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80   ? 1
                        : byte(0) < 0xc2 ? 0
                        : byte(0) < 0xe0 ? 2
                        : byte(0) < 0xf0 ? 3
                        : byte(0) < 0xf5 ? 4
                                         : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xf0 && byte(1) < 0x90);
  const bool outside = (byte(0) == 0xed && byte(1) >= 0xa0) || (byte(0) == 0xf4 && byte(1) >= 0x90);
  return overlong || outside ? 0 : length;
}

class Validator {
 public:
  std::vector<Problem> Take() { return std::move(problems_); }

  void CheckMessage(const Message& message, const std::string& path) {
    const Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const FieldDescriptor& field = *message.GetDescriptor()->field(i);
      const std::string field_path =
          path.empty() ? field.json_name() : path + "." + field.json_name();
      if (field.is_map()) {
        CheckMap(message, field, field_path);
      } else if (field.is_repeated()) {
        CheckList(message, field, field_path);
      } else if (reflection.HasField(message, &field)) {
        CheckValue(message, field, field_path);
      }
    }
  }

  void CheckProgram(const Program& program) {
    if (program.command().empty() || program.command(0).empty()) {
      Add("spec.program.command", "",
          "is missing; name the program: lockstep run [FLAGS] PROGRAM [ARGS], or in a file "
          "command: [./train]");
    }
    for (int i = 0; i < program.env_size(); ++i) {
      if (program.env(i).has_name()) continue;
      Add("spec.program.env[" + std::to_string(i) + "].name", "", "is missing");
    }
    const bool one_word = program.command_size() <= 1;
    if (!one_word && program.kind() != PROGRAM_KIND_AUTO &&
        program.kind() != PROGRAM_KIND_EXECUTABLE) {
      Add("spec.program.command", "",
          "must be one word when spec.program.kind is Python's; put the rest into args");
    }
  }

  void CheckCounts(const JobSpec& spec) {
    const Gang& gang = spec.gang();
    if (gang.nodes() < 1 || gang.nodes() > kNodesMax) return;
    if (gang.min_nodes() > gang.nodes() || gang.max_nodes() < gang.nodes()) {
      Add("spec.gang.nodes", std::to_string(gang.nodes()),
          "must lie between minNodes (" + std::to_string(gang.min_nodes()) + ") and maxNodes (" +
              std::to_string(gang.max_nodes()) + ")");
    }
    if (!gang.has_total_processes() || gang.total_processes() < 1) return;
    // Then each host says how many ranks it has.
    if (spec.placement().has_ssh()) return CheckHosts(gang, spec.placement().ssh());
    const std::string path = "spec.gang.totalProcesses";
    const int total = gang.total_processes();
    const ProcessesPerNode& per_node = gang.processes_per_node();
    if (per_node.has_unit()) {
      return Add(path, std::to_string(total),
                 "contradicts processesPerNode, which is to be counted; give one of the two");
    }
    if (per_node.has_count() && per_node.count() >= 1 &&
        int64_t{per_node.count()} * gang.nodes() != total) {
      return Add(path, std::to_string(total),
                 "contradicts processesPerNode " + std::to_string(per_node.count()) + " on " +
                     std::to_string(gang.nodes()) + (gang.nodes() == 1 ? " node" : " nodes") +
                     "; give one of the two");
    }
    if (total < gang.nodes()) {
      return Add(
          path, std::to_string(total),
          "is less than nodes (" + std::to_string(gang.nodes()) + "); each has at least one rank");
    }
    const bool fits = (total - 1) / gang.nodes() < kMaxProcessesPerNode;
    if (!per_node.has_count() && !fits && total <= kMaxTotalProcesses) {
      Add(path, std::to_string(total),
          "is more than " + std::to_string(kMaxProcessesPerNode) + " a node on " +
              std::to_string(gang.nodes()) + (gang.nodes() == 1 ? " node" : " nodes"));
    }
  }

  void CheckHosts(const Gang& gang, const SshPlacement& ssh) {
    int64_t slots = 0;
    for (int i = 0; i < ssh.hosts_size(); ++i) {
      slots += ssh.hosts(i).slots();
      if (ssh.hosts(i).has_host()) continue;
      Add("spec.placement.ssh.hosts[" + std::to_string(i) + "].host", "", "is missing");
    }
    if (ssh.hosts_size() != gang.nodes()) {
      Add("spec.placement.ssh.hosts", std::to_string(ssh.hosts_size()),
          "must be as many as nodes, " + std::to_string(gang.nodes()));
    } else if (slots != gang.total_processes()) {
      Add("spec.gang.totalProcesses", std::to_string(gang.total_processes()),
          "must be the sum of the hosts' slots, " + std::to_string(slots));
    }
  }

  void CheckStdin(const JobSpec& spec) {
    const StdinReader& reader = spec.logs().stdin_reader();
    const int total = spec.gang().total_processes();
    if (!reader.has_rank() || !spec.gang().has_total_processes() || total < 1 ||
        reader.rank() < total)
      return;
    Add("spec.logs.stdin", std::to_string(reader.rank()),
        "is no rank of the job; it has ranks 0 to " + std::to_string(total - 1));
  }

  void CheckLogs(const Logs& logs) {
    if (!logs.has_max_total_bytes() || logs.max_total_bytes() >= logs.max_file_bytes()) return;
    const FieldDescriptor& total = *Logs::descriptor()->FindFieldByName("max_total_bytes");
    Add("spec.logs.maxTotalBytes", FormatFieldValue(total, logs.max_total_bytes()),
        "must not be less than maxFileBytes, " + FormatFieldValue(total, logs.max_file_bytes()));
  }

  void CheckMetrics(const Metrics& metrics) {
    if (!metrics.has_file() || metrics.file().ends_with(".prom")) return;
    Add("spec.metrics.file", metrics.file(),
        "must end with .prom: node_exporter reads no other file, and it is replaced and removed");
  }

  void CheckMinRanks(const JobSpec& spec) {
    const int total = spec.gang().total_processes();
    const int least = spec.restart().min_ranks();
    if (!spec.gang().has_total_processes() || total < 1 || least <= total) return;
    Add("spec.restart.minRanks", std::to_string(least),
        "must not be more than the job's ranks, " + std::to_string(total));
  }

  void CheckBackoff(const Backoff& backoff) {
    if (FromProto(backoff.first()) <= FromProto(backoff.max())) return;
    Add("spec.restart.backoff.first", FormatExactDuration(FromProto(backoff.first())),
        "must not be longer than max, " + FormatExactDuration(FromProto(backoff.max())));
  }

  void CheckPlacement(const Placement& placement) {
    const base::Duration heartbeat = FromProto(placement.heartbeat());
    if (FromProto(placement.lease()) < 2 * heartbeat) {
      Add("spec.placement.lease", FormatExactDuration(FromProto(placement.lease())),
          "must be at least twice the heartbeat, " + FormatExactDuration(heartbeat));
    }
  }

 private:
  void Add(const std::string& path, std::string value, std::string what) {
    problems_.push_back({path, std::move(value), std::move(what), 0, ""});
  }

  void CheckSize(const FieldDescriptor& field, const std::string& path, int size) {
    const int limit = RuleOf(field).max_items() > 0 ? RuleOf(field).max_items() : kDefaultMaxItems;
    if (size > limit)
      Add(path, "", "has " + std::to_string(size) + " entries; at most " + std::to_string(limit));
  }

  void CheckMap(const Message& message, const FieldDescriptor& field, const std::string& path) {
    const int size = message.GetReflection()->FieldSize(message, &field);
    CheckSize(field, path, size);
    for (int i = 0; i < size; ++i) {
      const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
      const FieldDescriptor& key = *field.message_type()->map_key();
      const FieldDescriptor& value = *field.message_type()->map_value();
      const FieldValue key_value = LoadFieldValue(entry, key);
      const std::string entry_path = path + "." + FormatFieldValue(key, key_value);
      // The rule of a map holds its numeric keys and its string values.
      CheckOne(key_value, key, field, entry_path);
      CheckOne(LoadFieldValue(entry, value), value, field, entry_path);
    }
  }

  void CheckList(const Message& message, const FieldDescriptor& field, const std::string& path) {
    const int size = message.GetReflection()->FieldSize(message, &field);
    CheckSize(field, path, size);
    for (int i = 0; i < size; ++i) {
      const std::string item_path = path + "[" + std::to_string(i) + "]";
      if (IsScalarField(field)) {
        CheckOne(LoadFieldValue(message, field, i), field, field, item_path);
      } else {
        CheckMessage(message.GetReflection()->GetRepeatedMessage(message, &field, i), item_path);
      }
    }
  }

  void CheckValue(const Message& message, const FieldDescriptor& field, const std::string& path) {
    if (!IsScalarField(field))
      return CheckMessage(message.GetReflection()->GetMessage(message, &field), path);
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      return CheckOne(LoadFieldValue(message, field), field, field, path);
    }
    const Message& inner = message.GetReflection()->GetMessage(message, &field);
    if (inner.GetDescriptor()->options().GetExtension(scalar)) {
      // Its members are one value to whoever writes it.
      return CheckMembers(inner, path);
    }
    CheckOne(LoadFieldValue(message, field), field, field, path);
  }

  void CheckMembers(const Message& scalar_message, const std::string& path) {
    std::vector<const FieldDescriptor*> members;
    scalar_message.GetReflection()->ListFields(scalar_message, &members);
    if (members.empty()) return Add(path, "", "has no value");
    for (const FieldDescriptor* member : members) {
      CheckOne(LoadFieldValue(scalar_message, *member), *member, *member, path);
    }
  }

  // `field` says what `value` is, `ruled` which rule holds it.
  void CheckOne(const FieldValue& value, const FieldDescriptor& field, const FieldDescriptor& ruled,
                const std::string& path) {
    if (const auto* text = std::get_if<std::string>(&value)) return CheckText(*text, ruled, path);
    if (const auto* number = std::get_if<EnumNumber>(&value)) {
      const bool known =
          number->number != 0 && field.enum_type()->FindValueByNumber(number->number) != nullptr;
      if (!known) Add(path, std::to_string(number->number), "is no known value");
      return;
    }
    CheckRange(value, field, ruled, path);
  }

  void CheckRange(const FieldValue& value, const FieldDescriptor& field,
                  const FieldDescriptor& ruled, const std::string& path) {
    const FieldRule& limits = RuleOf(ruled);
    if (limits.min().empty()) return;
    // Bounds of one field are of one kind, so that variant's order is the values' order.
    if (ParseRule(field, limits.min()) <= value && value <= ParseRule(field, limits.max())) return;
    std::string what = "must be " + limits.min() + " to " + limits.max();
    if (path == "spec.gang.totalProcesses")
      what += ", at most " + std::to_string(kMaxProcessesPerNode) + " a node";
    Add(path, FormatFieldValue(ruled.is_map() ? field : ruled, value), what);
  }

  void CheckText(const std::string& text, const FieldDescriptor& ruled, const std::string& path) {
    const FieldRule& limits = RuleOf(ruled);
    const size_t max_bytes =
        limits.max_bytes() > 0 ? static_cast<size_t>(limits.max_bytes()) : kDefaultMaxBytes;
    // A variable's value may be a secret.
    const bool secret =
        ruled.containing_type() == EnvironmentVariable::descriptor() && ruled.name() == "value";
    const std::string shown = secret ? "" : ShortValue(text);
    if (text.size() > max_bytes) {
      return Add(
          path, shown,
          "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(max_bytes));
    }
    for (size_t i = 0; i < text.size();) {
      const size_t length = Utf8Length(std::string_view(text).substr(i));
      if (length == 0) return Add(path, shown, "is not UTF-8 at byte " + std::to_string(i + 1));
      if (text[i] == '\0')
        return Add(path, shown, "holds a zero byte, which no program can be given");
      i += length;
    }
    if (!limits.only().empty() && text != limits.only())
      return Add(path, shown, "must be " + limits.only());
    const std::string problem = FormatProblem(limits.format(), text);
    if (!problem.empty()) Add(path, shown, problem);
  }

  std::vector<Problem> problems_;
};

}  // namespace

void ApplyDefaults(TrainingJob* job) {
  ApplyRuleDefaults(*job);
  ApplyCountDefaults(*job->mutable_spec()->mutable_gang());
  Placement& placement = *job->mutable_spec()->mutable_placement();
  if (placement.kind_case() == Placement::KIND_NOT_SET) placement.mutable_local();
}

std::vector<Problem> Validate(const TrainingJob& job) {
  Validator validator;
  validator.CheckMessage(job, "");
  validator.CheckProgram(job.spec().program());
  validator.CheckCounts(job.spec());
  validator.CheckStdin(job.spec());
  validator.CheckLogs(job.spec().logs());
  validator.CheckMetrics(job.spec().metrics());
  validator.CheckMinRanks(job.spec());
  validator.CheckBackoff(job.spec().restart().backoff());
  validator.CheckPlacement(job.spec().placement());
  return validator.Take();
}

bool IsJobName(std::string_view text) { return IsDnsLabel(text) && text.size() <= 63; }

}  // namespace lockstep::proto
