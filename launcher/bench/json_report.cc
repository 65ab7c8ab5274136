// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/json_report.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "launcher/bench/bench_op.h"
#include "runtime/base/json_string.h"

namespace lockstep::launcher {
namespace {

/// Writes JSON piece by piece; puts the commas, and a line for each element of the outer levels.
class Json {
 public:
  std::string Take() { return std::move(text_) + "\n"; }

  void Open(char bracket) {
    Separate();
    text_ += bracket;
    first_ = true;
    ++depth_;
  }
  void Close(char bracket) {
    --depth_;
    if (!first_ && depth_ < kLineDepth) Line();
    text_ += bracket;
    first_ = false;
  }
  void Key(std::string_view key) {
    Separate();
    base::AppendJsonString(key, &text_);
    text_ += ": ";
    after_key_ = true;
  }
  void Text(std::string_view value) {
    Separate();
    base::AppendJsonString(value, &text_);
  }
  void Whole(uint64_t value) {
    Separate();
    text_ += std::to_string(value);
  }
  void Real(double value) {
    Separate();
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    text_ += text;
  }
  void Bool(bool value) {
    Separate();
    text_ += value ? "true" : "false";
  }
  void Null() {
    Separate();
    text_ += "null";
  }

 private:
  static constexpr int kLineDepth = 3;

  void Separate() {
    if (after_key_) {
      after_key_ = false;
      return;
    }
    if (!first_) text_ += depth_ <= kLineDepth ? "," : ", ";
    if (depth_ > 0 && depth_ <= kLineDepth) Line();
    first_ = false;
  }
  void Line() { text_ += "\n" + std::string(static_cast<size_t>(depth_) * 2, ' '); }

  std::string text_;
  int depth_ = 0;
  bool first_ = true;
  bool after_key_ = false;
};

void AddText(std::string_view key, std::string_view value, Json& json) {
  json.Key(key);
  json.Text(value);
}

void AddWhole(std::string_view key, uint64_t value, Json& json) {
  json.Key(key);
  json.Whole(value);
}

void AddReal(std::string_view key, double value, Json& json) {
  json.Key(key);
  json.Real(value);
}

void AddCell(const BenchOptions& options, const SizeResult& size, const Cell& cell, Json& json) {
  if (!cell.time_us) return json.Null();
  const double bandwidth = static_cast<double>(size.bytes) / *cell.time_us / 1000;
  json.Open('{');
  AddReal("time_us", *cell.time_us, json);
  AddReal("alg_bw_gb_s", bandwidth, json);
  AddReal("bus_bw_gb_s", bandwidth * BusFactor(options.op, options.ranks), json);
  json.Key("wrong");
  if (cell.wrong) {
    json.Whole(*cell.wrong);
  } else {
    json.Null();
  }
  json.Key("round_us");
  json.Open('[');
  for (const double round : cell.round_us) json.Real(round);
  json.Close(']');
  if (!cell.all_us.empty()) {
    AddReal("min_us", Quantile(cell.all_us, 0), json);
    AddReal("p50_us", Quantile(cell.all_us, 0.5), json);
    AddReal("p95_us", Quantile(cell.all_us, 0.95), json);
    AddReal("p99_us", Quantile(cell.all_us, 0.99), json);
    AddReal("max_us", Quantile(cell.all_us, 1), json);
    AddReal("cv", VariationCoefficient(cell.all_us), json);
  }
  json.Close('}');
}

void AddRounds(const SizeResult& size, Json& json) {
  json.Key("rounds");
  json.Open('[');
  for (const Round& round : size.rounds) {
    json.Open('{');
    json.Key("pressure");
    if (round.pressure) {
      json.Real(*round.pressure);
    } else {
      json.Null();
    }
    json.Key("valid");
    json.Bool(round.valid);
    json.Close('}');
  }
  json.Close(']');
}

void AddRatios(const BenchResult& result, const SizeResult& size, Json& json) {
  json.Key("ratios");
  json.Open('[');
  for (const Ratio& ratio : size.ratios) {
    json.Open('{');
    AddText("ours", result.contenders[ratio.ours].name, json);
    AddText("peer", result.contenders[ratio.peer].name, json);
    json.Key("in_place");
    json.Bool(ratio.mode == BenchMode::kInPlace);
    AddReal("ratio", ratio.times.median, json);
    AddReal("low", ratio.times.low, json);
    AddReal("high", ratio.times.high, json);
    AddReal("coverage", ratio.times.coverage, json);
    AddWhole("rounds", static_cast<uint64_t>(size.counted_rounds), json);
    json.Close('}');
  }
  json.Close(']');
}

void AddSize(const BenchOptions& options, const BenchResult& result, const SizeResult& size,
             Json& json) {
  json.Open('{');
  AddWhole("size", size.bytes, json);
  AddWhole("count", size.part_count, json);
  AddText("type", DtypeName(options.dtype), json);
  AddText("redop", ReductionName(options.reduction), json);
  json.Key("root");
  if (HasRoot(options.op)) {
    json.Whole(static_cast<uint64_t>(options.root));
  } else {
    json.Null();
  }
  AddRounds(size, json);
  json.Key("backends");
  json.Open('[');
  for (size_t i = 0; i < result.contenders.size(); ++i) {
    json.Open('{');
    AddText("backend", result.contenders[i].name, json);
    json.Key("out_of_place");
    AddCell(options, size, size.cells[i][static_cast<size_t>(BenchMode::kOutOfPlace)], json);
    json.Key("in_place");
    AddCell(options, size, size.cells[i][static_cast<size_t>(BenchMode::kInPlace)], json);
    json.Close('}');
  }
  json.Close(']');
  AddRatios(result, size, json);
  json.Close('}');
}

void AddMachine(const BenchMachine& machine, Json& json) {
  json.Key("machine");
  json.Open('{');
  AddText("cpu", machine.cpu, json);
  AddWhole("cores", static_cast<uint64_t>(machine.cores), json);
  AddText("kernel", machine.kernel, json);
  json.Key("bound_to");
  json.Open('[');
  for (const int cpu : machine.cpus) json.Whole(static_cast<uint64_t>(cpu));
  json.Close(']');
  json.Close('}');
}

void AddRefusals(const BenchResult& result, Json& json) {
  json.Key("did_not_run");
  json.Open('[');
  for (const Refusal& refusal : RefusalsOf(result)) {
    json.Open('{');
    AddText("backend", result.contenders[refusal.contender].name, json);
    json.Key("in_place");
    json.Bool(refusal.mode == BenchMode::kInPlace);
    AddWhole("sizes", static_cast<uint64_t>(refusal.sizes), json);
    AddText("why", refusal.why, json);
    json.Close('}');
  }
  json.Close(']');
}

void AddContenders(const BenchResult& result, Json& json) {
  json.Key("backends");
  json.Open('[');
  for (size_t i = 0; i < result.contenders.size(); ++i) {
    json.Open('{');
    AddText("backend", result.contenders[i].name, json);
    AddText("library", result.libraries[i], json);
    AddText("knobs", result.contenders[i].knobs, json);
    json.Key("is_peer");
    json.Bool(!result.contenders[i].peer.empty());
    json.Close('}');
  }
  json.Close(']');
}

}  // namespace

std::string JsonReport(const BenchOptions& options, const BenchMachine& machine,
                       const BenchResult& result) {
  Json json;
  json.Open('{');
  AddWhole("schema", 1, json);
  AddText("version", machine.version, json);
  AddText("end_time", machine.end_time, json);
  json.Key("args");
  json.Open('[');
  for (const std::string& word : options.command_line) json.Text(word);
  json.Close(']');
  AddMachine(machine, json);
  AddText("op", BenchOpName(options.op), json);
  AddWhole("ranks", static_cast<uint64_t>(options.ranks), json);
  AddWhole("iterations", static_cast<uint64_t>(options.iterations), json);
  AddWhole("warmups", static_cast<uint64_t>(options.warmups), json);
  AddWhole("warmup_bytes", options.warmup_bytes, json);
  json.Key("judges_pressure");
  json.Bool(result.judges_pressure);
  json.Key("disturbed");
  json.Bool(result.marked);
  AddWhole("wrong", result.wrong(), json);
  AddContenders(result, json);
  AddRefusals(result, json);
  json.Key("results");
  json.Open('[');
  for (const SizeResult& size : result.sizes) AddSize(options, result, size, json);
  json.Close(']');
  json.Close('}');
  return json.Take();
}

}  // namespace lockstep::launcher
