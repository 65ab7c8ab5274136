// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/text_report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "launcher/bench/bench_op.h"

namespace lockstep::launcher {
namespace {

using collectives::Capabilities;
using collectives::Dtype;
using collectives::OpKind;
using collectives::Reduction;

constexpr size_t kOut = static_cast<size_t>(BenchMode::kOutOfPlace);
constexpr size_t kIn = static_cast<size_t>(BenchMode::kInPlace);

__attribute__((format(printf, 1, 2))) std::string Format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  char text[1024];
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

int NameWidth(const BenchResult& result) {
  size_t width = 7;
  for (const Contender& contender : result.contenders)
    width = std::max(width, contender.name.size());
  return static_cast<int>(width);
}

// Three digits that mean something.
std::string Figure(double figure) {
  const int decimals = figure < 10 ? 2 : figure < 100 ? 1 : 0;
  return Format("%.*f", decimals, figure);
}

std::string CellText(const BenchOptions& options, const SizeResult& size, const Cell& cell) {
  if (!cell.time_us) return Format("%10s %8s %8s %6s", cell.supported ? "?" : "-", "-", "-", "-");
  // 10^9 bytes a second is 10^3 a microsecond.
  const double bandwidth = static_cast<double>(size.bytes) / *cell.time_us / 1000;
  const std::string wrong = cell.wrong ? std::to_string(*cell.wrong) : "N/A";
  return Format("%10s %8s %8s %6s", Figure(*cell.time_us).c_str(), Figure(bandwidth).c_str(),
                Figure(bandwidth * BusFactor(options.op, options.ranks)).c_str(), wrong.c_str());
}

std::string StatisticsRow(const std::string& name, const char* mode, const Cell& cell, int width) {
  if (cell.all_us.empty()) return "";
  const auto at = [&](double share) { return Figure(Quantile(cell.all_us, share)); };
  return Format(
      "#   %-*s  %-12s  %zu iterations: min %s  p50 %s  p95 %s  p99 %s  max %s us  cv %.2f\n",
      width, name.c_str(), mode, cell.all_us.size(), at(0).c_str(), at(0.5).c_str(),
      at(0.95).c_str(), at(0.99).c_str(), at(1).c_str(), VariationCoefficient(cell.all_us));
}

const char* ModeText(BenchMode mode) {
  return mode == BenchMode::kInPlace ? "in place" : "out of place";
}

std::string NotRunRows(const BenchResult& result) {
  std::string text;
  for (const Refusal& refusal : RefusalsOf(result))
    text += Format("# Did not run: %s, %s, at %d of %zu sizes: %s\n",
                   result.contenders[refusal.contender].name.c_str(), ModeText(refusal.mode),
                   refusal.sizes, result.sizes.size(), refusal.why.c_str());
  return text;
}

std::string RatioRows(const BenchResult& result) {
  const int width = NameWidth(result);
  std::string text = Format(
      "#\n# Their time / ours, best knobs at each size; the interval covers "
      "the true median as often as it says\n#   %12s  %-12s  %-*s  %-*s  %8s\n",
      "size(B)", "mode", width, "ours", width, "peer", "ratio");
  for (const SizeResult& size : result.sizes) {
    for (const Ratio& ratio : size.ratios) {
      text += Format("#   %12llu  %-12s  %-*s  %-*s  %7sx  [%s, %s] %.1f %%, %d rounds\n",
                     static_cast<unsigned long long>(size.bytes), ModeText(ratio.mode), width,
                     result.contenders[ratio.ours].name.c_str(), width,
                     result.contenders[ratio.peer].name.c_str(), Figure(ratio.times.median).c_str(),
                     Figure(ratio.times.low).c_str(), Figure(ratio.times.high).c_str(),
                     100 * ratio.times.coverage, size.counted_rounds);
    }
  }
  for (const RatioSummary& summary : Summarize(result)) {
    text += Format("# %s against %s, %s: geometric mean %sx, least %sx, of %d sizes\n",
                   result.contenders[summary.ours].name.c_str(), summary.peer.c_str(),
                   ModeText(summary.mode), Figure(summary.mean).c_str(),
                   Figure(summary.least).c_str(), summary.sizes);
  }
  return text;
}

std::string WhyNoRatio(const BenchOptions& options, const SizeResult& size) {
  double most = 0;
  for (const Round& round : size.rounds) most = std::max(most, round.pressure.value_or(0));
  return Format(
      "# no ratio at %llu bytes: in %d of %d rounds other programs used more than %.0f %% of a "
      "processor (at most: %.0f %%), and %d good ones are needed. "
      "Run it on a quiet machine, or with --allow-pressure and marked\n",
      static_cast<unsigned long long>(size.bytes), options.rounds - size.counted_rounds,
      options.rounds, 100 * kPressureMax, 100 * most, kValidRoundsMin);
}

std::string CapabilityTable(const Capabilities& backend) {
  std::string text = "backend " + backend.backend + "\n  ops:";
  for (uint8_t kind = 1; kind < collectives::kOpKindLimit; ++kind) {
    if (backend.Has(static_cast<OpKind>(kind)))
      text += " " + std::string(OpKindName(static_cast<OpKind>(kind)));
  }
  text += "\n  memory:" + std::string(backend.host_memory ? " host" : "") +
          (backend.cuda_memory ? " cuda" : "") +
          "\n  compares calls: " + (backend.compares_calls ? "yes" : "no") +
          "\n  bitwise reproducible: " + (backend.bitwise_reproducible ? "yes" : "no") + "\n  " +
          Format("%-8s", "dtype") + " moved";
  for (uint8_t reduction = 1; reduction < collectives::kReductionLimit; ++reduction)
    text += " " + std::string(ReductionName(static_cast<Reduction>(reduction)));
  text += "\n";
  for (uint8_t i = 1; i < collectives::kDtypeLimit; ++i) {
    const auto dtype = static_cast<Dtype>(i);
    text += Format("  %-8s %-5s", std::string(DtypeName(dtype)).c_str(),
                   backend.Has(dtype) ? "yes" : "-");
    for (uint8_t j = 1; j < collectives::kReductionLimit; ++j) {
      const auto reduction = static_cast<Reduction>(j);
      text += Format(" %-*s", static_cast<int>(ReductionName(reduction).size()),
                     backend.Has(dtype, reduction) ? "yes" : "-");
    }
    while (text.ends_with(' ')) text.pop_back();
    text += "\n";
  }
  return text;
}

}  // namespace

std::string TableHead(const BenchOptions& options, const BenchResult& result,
                      const std::vector<int>& cpus) {
  std::string text = Format("# %s, %d ranks, %d rounds of %d iterations after %d warm-ups each",
                            std::string(BenchOpName(options.op)).c_str(), options.ranks,
                            options.rounds, options.iterations, options.warmups);
  if (options.warmup_bytes > 0) {
    text +=
        ", or more until they are of " + std::to_string(options.warmup_bytes) + " bytes together";
  }
  text += "\n";
  text +=
      "# time: median over the rounds of the median iteration; an iteration takes as long as on "
      "its slowest rank\n";
  if (cpus.empty()) {
    text += "# more ranks than cores: not bound, who waits yields\n";
  } else {
    text += "# rank by rank bound to core";
    for (const int cpu : cpus) text += " " + std::to_string(cpu);
    text += "\n";
  }
  if (!result.judges_pressure)
    text += "# rounds are not judged by CPU pressure: the kernel does not tell it\n";
  for (size_t i = 0; i < result.contenders.size(); ++i) {
    const Contender& one = result.contenders[i];
    text += "# " + one.name + ": " + result.libraries[i] +
            (one.knobs.empty() ? "" : "; " + one.knobs) + "\n";
  }
  const int width = NameWidth(result);
  text += Format("#\n# %*s %12s %7s %10s %5s  %*s  %35s  %24s\n", 12, "", "", "", "", "", width, "",
                 "out of place         ", "in place");
  text += Format("# %12s %12s %7s %10s %5s  %-*s", "size", "count", "type", "redop", "root", width,
                 "backend");
  text += "        time    algbw    busbw #wrong        time    algbw    busbw #wrong\n";
  text += Format("# %12s %12s %7s %10s %5s  %-*s", "(B)", "(elements)", "", "", "", width, "");
  return text + "        (us)   (GB/s)   (GB/s)               (us)   (GB/s)   (GB/s)\n";
}

std::string TableRows(const BenchOptions& options, const BenchResult& result,
                      const SizeResult& size) {
  const int width = NameWidth(result);
  std::string text;
  for (size_t i = 0; i < result.contenders.size(); ++i) {
    const std::string& name = result.contenders[i].name;
    text +=
        Format("  %12llu %12llu %7s %10s %5d  %-*s  ", static_cast<unsigned long long>(size.bytes),
               static_cast<unsigned long long>(size.part_count),
               std::string(DtypeName(options.dtype)).c_str(),
               std::string(ReductionName(options.reduction)).c_str(),
               HasRoot(options.op) ? options.root : -1, width, name.c_str());
    text += CellText(options, size, size.cells[i][kOut]) + "  " +
            CellText(options, size, size.cells[i][kIn]) + "\n";
  }
  if (!options.statistics) return text;
  for (size_t i = 0; i < result.contenders.size(); ++i) {
    const std::string& name = result.contenders[i].name;
    text += StatisticsRow(name, "out of place", size.cells[i][kOut], width) +
            StatisticsRow(name, "in place", size.cells[i][kIn], width);
  }
  return text;
}

std::string TableFoot(const BenchOptions& options, const BenchResult& result) {
  std::string text;
  if (options.check) {
    const uint64_t wrong = result.wrong();
    const int checked = result.checked();
    const char* const verdict = checked == 0 ? " NONE CHECKED" : wrong == 0 ? " OK" : " FAILED";
    text += "# Wrong elements: " + std::to_string(wrong) + verdict + "\n";
  }
  text += NotRunRows(result);
  if (result.marked)
    text +=
        "# DISTURBED: --allow-pressure let rounds count in which the machine was busy with "
        "other work\n";
  const bool any = std::any_of(result.sizes.begin(), result.sizes.end(),
                               [](const SizeResult& size) { return !size.ratios.empty(); });
  if (any) text += RatioRows(result);
  if (result.sizes_without_ratio() == 0) return text;
  for (const SizeResult& size : result.sizes) {
    if (size.counted_rounds < kValidRoundsMin) text += WhyNoRatio(options, size);
  }
  return text;
}

std::string CapabilityTables(const std::vector<Capabilities>& backends) {
  std::string text;
  for (const Capabilities& backend : backends) {
    text += (text.empty() ? "" : "\n") + CapabilityTable(backend);
  }
  return text;
}

}  // namespace lockstep::launcher
