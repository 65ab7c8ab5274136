// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <iterator>
#include <utility>

#include "runtime/base/check.h"

namespace lockstep::telemetry {
namespace {

size_t HashOf(const Labels& labels) {
  size_t hash = 0;
  for (const auto& [label, value] : labels)
    hash = (hash * 31 + std::hash<std::string>()(label)) * 31 + std::hash<std::string>()(value);
  return hash;
}

bool IsName(std::string_view name, bool colon_allowed) {
  const auto fits = [&](char c, bool first) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_') return true;
    return (c == ':' && colon_allowed) || (!first && c >= '0' && c <= '9');
  };
  if (name.empty() || !fits(name.front(), true)) return false;
  return std::all_of(name.begin() + 1, name.end(), [&](char c) { return fits(c, false); });
}

/// Shortest text that reads back as the same number.
std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

void AppendEscaped(std::string_view text, bool quotes, std::string* out) {
  for (const char c : text) {
    if (c == '\\') {
      out->append("\\\\");
    } else if (c == '\n') {
      out->append("\\n");
    } else if (c == '"' && quotes) {
      out->append("\\\"");
    } else {
      out->push_back(c);
    }
  }
}

/// name{a="b",le="0.5"} value
void AppendSample(std::string_view name, std::string_view suffix, const Labels& labels,
                  std::string_view bound, std::string_view value, std::string* out) {
  out->append(name).append(suffix);
  char separator = '{';
  const auto append_label = [&](std::string_view label, std::string_view text) {
    out->push_back(separator);
    separator = ',';
    out->append(label).append("=\"");
    AppendEscaped(text, true, out);
    out->push_back('"');
  };
  for (const auto& [label, text] : labels) append_label(label, text);
  if (!bound.empty()) append_label("le", bound);
  if (separator == ',') out->push_back('}');
  out->append(" ").append(value).append("\n");
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)),
      buckets_(std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1)) {
  LOCKSTEP_CHECK(!bounds_.empty() && std::isfinite(bounds_.front()) &&
                     std::isfinite(bounds_.back()) &&
                     std::adjacent_find(bounds_.begin(), bounds_.end(), std::greater_equal<>()) ==
                         bounds_.end(),
                 "histogram bounds are finite and rise");
}

void Histogram::Observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  buckets_[static_cast<size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<double> ExponentialBounds(double first, double factor, int count) {
  LOCKSTEP_CHECK(first > 0 && factor > 1 && count > 0, "exponential bounds rise");
  std::vector<double> bounds;
  for (double bound = first; static_cast<int>(bounds.size()) < count; bound *= factor)
    bounds.push_back(bound);
  return bounds;
}

Counter& MetricSet::AddCounter(std::string_view name, std::string_view help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  Metric& metric = FindOrAdd(name, help, Kind::kCounter, labels);
  if (metric.counter == nullptr) metric.counter = std::make_unique<Counter>();
  return *metric.counter;
}

Gauge& MetricSet::AddGauge(std::string_view name, std::string_view help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  Metric& metric = FindOrAdd(name, help, Kind::kGauge, labels);
  if (metric.gauge == nullptr) metric.gauge = std::make_unique<Gauge>();
  return *metric.gauge;
}

Histogram& MetricSet::AddHistogram(std::string_view name, std::string_view help,
                                   std::vector<double> bounds, const Labels& labels) {
  std::lock_guard lock(mutex_);
  Metric& metric = FindOrAdd(name, help, Kind::kHistogram, labels);
  if (metric.histogram == nullptr) {
    metric.histogram = std::make_unique<Histogram>(std::move(bounds));
  } else {
    LOCKSTEP_CHECK(metric.histogram->bounds() == bounds, "a histogram keeps its bounds");
  }
  return *metric.histogram;
}

MetricSet::Metric& MetricSet::FindOrAdd(std::string_view name, std::string_view help, Kind kind,
                                        const Labels& labels) {
  LOCKSTEP_CHECK(IsName(name, true),
                 "a metric's name has letters, digits, '_' and ':' and begins with no digit");
  for (const auto& [label, value] : labels) {
    LOCKSTEP_CHECK(IsName(label, false) && label != "le" && !label.starts_with("__"),
                   "not a label's name");
  }
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const Family& f) { return f.name == name; });
  if (family == families_.end()) {
    families_.push_back({.name = std::string(name), .help = std::string(help), .kind = kind});
    family = std::prev(families_.end());
  }
  LOCKSTEP_CHECK(family->kind == kind && family->help == help,
                 "a metric's name keeps its kind and help");
  const size_t hash = HashOf(labels);
  const auto [first, last] = family->by_labels.equal_range(hash);
  const auto metric =
      std::find_if(first, last, [&](const auto& entry) { return entry.second->labels == labels; });
  if (metric != last) return *metric->second;
  Metric& made = family->metrics.emplace_back(Metric{.labels = labels});
  family->by_labels.emplace(hash, &made);
  return made;
}

std::string MetricSet::PrometheusText() const {
  constexpr std::string_view kKindNames[] = {"counter", "gauge", "histogram"};
  std::lock_guard lock(mutex_);
  std::string out;
  for (const Family& family : families_) {
    out.append("# HELP ").append(family.name).append(" ");
    AppendEscaped(family.help, false, &out);
    out.append("\n# TYPE ").append(family.name).append(" ");
    out.append(kKindNames[static_cast<size_t>(family.kind)]).append("\n");
    for (const Metric& metric : family.metrics) PrintMetric(family, metric, &out);
  }
  return out;
}

void MetricSet::PrintMetric(const Family& family, const Metric& metric, std::string* out) {
  switch (family.kind) {
    case Kind::kCounter:
      AppendSample(family.name, "", metric.labels, "", std::to_string(metric.counter->value()),
                   out);
      return;
    case Kind::kGauge:
      AppendSample(family.name, "", metric.labels, "", Number(metric.gauge->value()), out);
      return;
    case Kind::kHistogram: break;
  }
  const Histogram& histogram = *metric.histogram;
  uint64_t cumulative = 0;
  for (size_t i = 0; i <= histogram.bounds().size(); ++i) {
    cumulative += histogram.bucket_count(i);
    const std::string bound =
        i < histogram.bounds().size() ? Number(histogram.bounds()[i]) : "+Inf";
    AppendSample(family.name, "_bucket", metric.labels, bound, std::to_string(cumulative), out);
  }
  AppendSample(family.name, "_sum", metric.labels, "", Number(histogram.sum()), out);
  AppendSample(family.name, "_count", metric.labels, "", std::to_string(cumulative), out);
}

}  // namespace lockstep::telemetry
