// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/verbs/verb_text.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>

#include "runtime/base/check.h"

namespace lockstep::launcher {

std::string Printable(std::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return printable;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return "";
  std::vector<size_t> widths(rows.front().size());
  for (const std::vector<std::string>& row : rows) {
    LOCKSTEP_CHECK(row.size() == widths.size(), "a row of another length than the first");
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string AgeText(base::WallTime now, const google::protobuf::Timestamp& then) {
  if (then.seconds() == 0) return "-";
  const int64_t now_seconds =
      std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  // The clock may have been set back meanwhile.
  const int64_t seconds = std::max<int64_t>(now_seconds - then.seconds(), 0);
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 2 * 3600) return std::to_string(seconds / 60) + "m";
  if (seconds < 2 * 86400) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

google::protobuf::Timestamp ToTimestamp(base::WallTime time) {
  const auto since = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds.count());
  timestamp.set_nanos(static_cast<int32_t>((since - seconds).count()));
  return timestamp;
}

base::Result<std::string> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    return base::DataLossError("print " + message.GetTypeName() + " as JSON: " + status.ToString());
  }
  return json;
}

std::string WithMember(std::string object, std::string_view key, std::string_view value) {
  LOCKSTEP_CHECK(object.ends_with('}'), "not a JSON object");
  object.pop_back();
  if (!object.ends_with('{')) object += ",";
  object.append("\"").append(key).append("\":").append(value).append("}");
  return object;
}

}  // namespace lockstep::launcher
