// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/bench/bench_run.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <unistd.h>

#include <cstdio>

#include "launcher/bench/bench_options.h"
#include "launcher/exit_codes.h"

namespace lockstep::bench {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

const Value& Field(const Struct& object, const std::string& key) {
  static const Value none;
  const auto found = object.fields().find(key);
  return found == object.fields().end() ? none : found->second;
}

double NumberOf(const Struct& object, const std::string& key) {
  return Field(object, key).number_value();
}

std::string TextOf(const Struct& object, const std::string& key) {
  return Field(object, key).string_value();
}

BenchRow RowOf(const Struct& result) {
  BenchRow row;
  row.bytes = static_cast<uint64_t>(NumberOf(result, "size"));
  std::map<std::string, BenchRow::Ours> cells;
  for (const Value& value : Field(result, "backends").list_value().values()) {
    const Struct& backend = value.struct_value();
    const Struct& cell = Field(backend, "out_of_place").struct_value();
    cells[TextOf(backend, "backend")] = {.time_us = NumberOf(cell, "time_us"),
                                         .p50_us = NumberOf(cell, "p50_us"),
                                         .p99_us = NumberOf(cell, "p99_us"),
                                         .bus_gb_s = NumberOf(cell, "bus_bw_gb_s"),
                                         .peers = {}};
  }
  for (const auto& [name, cell] : cells) {
    const std::string kind = name.substr(0, name.find(' '));
    if (kind == "host" || kind == "shm" || kind == "tcp" || kind == "wide") row.ours[name] = cell;
  }
  int valid_rounds = 0;
  for (const Value& round : Field(result, "rounds").list_value().values())
    valid_rounds += Field(round.struct_value(), "valid").bool_value() ? 1 : 0;
  row.judged = valid_rounds >= launcher::kValidRoundsMin;
  for (const Value& value : Field(result, "ratios").list_value().values()) {
    const Struct& ratio = value.struct_value();
    if (Field(ratio, "in_place").bool_value()) continue;
    const std::string best = TextOf(ratio, "peer");
    row.ours[TextOf(ratio, "ours")].peers[best.substr(0, best.find(' '))] = {
        .best = best,
        .time_us = cells[best].time_us,
        .ratio = NumberOf(ratio, "ratio"),
        .low = NumberOf(ratio, "low"),
        .high = NumberOf(ratio, "high")};
  }
  return row;
}

}  // namespace

BenchRun ReadBenchRun(const e2e::Outcome& outcome, const std::string& path) {
  BenchRun run;
  Struct root;
  const auto parsed = google::protobuf::util::JsonStringToMessage(e2e::ReadFile(path), &root);
  (void)unlink(path.c_str());
  // Without a ratio at some size it has written all the same.
  run.ok = parsed.ok() && (outcome.status == static_cast<int>(launcher::ExitCode::kOk) ||
                           outcome.status == static_cast<int>(launcher::ExitCode::kUnavailable));
  if (!run.ok) {
    std::fprintf(stderr, "lockstep bench: status %d: %s\n", outcome.status, outcome.err.c_str());
    return run;
  }
  run.wrong = NumberOf(root, "wrong");
  for (const Value& result : Field(root, "results").list_value().values())
    run.rows.push_back(RowOf(result.struct_value()));
  return run;
}

}  // namespace lockstep::bench
