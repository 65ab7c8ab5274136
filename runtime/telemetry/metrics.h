// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_TELEMETRY_METRICS_H_
#define LOCKSTEP_RUNTIME_TELEMETRY_METRICS_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lockstep::telemetry {

/// Only ever grows. Thread-safe.
class Counter {
 public:
  void Add(uint64_t by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// Goes up and down. Thread-safe.
class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts observations in fixed buckets. Thread-safe; a concurrent reader may see an observation in
/// its bucket and not yet in the sum.
class Histogram {
 public:
  /// `bounds`: inclusive upper bounds, finite, rising, at least one; a last bucket without a bound
  /// is added.
  explicit Histogram(std::vector<double> bounds);

  void Observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  /// Observations in bucket `index` alone; bounds().size() is the bucket without a bound.
  uint64_t bucket_count(size_t index) const {
    return buckets_[index].load(std::memory_order_relaxed);
  }
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> buckets_;
  std::atomic<double> sum_{0};
};

/// `first`, `first`*`factor`, ...: `count` bounds. Needs first > 0, factor > 1, count > 0.
std::vector<double> ExponentialBounds(double first, double factor, int count);

/// Label names and values, in the order in which they are printed.
using Labels = std::vector<std::pair<std::string, std::string>>;

/// The metrics of one process or component, and how they print for Prometheus. There is no global
/// one: whoever counts gets a set, or the metric itself, from its maker.
///
/// Metrics live as long as the set; references stay valid. Asking again with the same name and
/// labels gives the same object. A name keeps one kind, one help text and, for histograms, one list
/// of bounds: another is a programmer's error, as is a name or label outside
/// [a-zA-Z_][a-zA-Z0-9_]*. Thread-safe.
///
///   Counter& lost = metrics.AddCounter("lockstep_ranks_lost_total", "Ranks that ended unasked.",
///   {{"job", job}}); lost.Add(); response = metrics.PrometheusText();
class MetricSet {
 public:
  MetricSet() = default;
  MetricSet(const MetricSet&) = delete;
  MetricSet& operator=(const MetricSet&) = delete;

  /// Counters' names end in _total; quantities carry their base unit: _seconds, _bytes.
  Counter& AddCounter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& AddGauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& AddHistogram(std::string_view name, std::string_view help, std::vector<double> bounds,
                          const Labels& labels = {});

  /// Text exposition format 0.0.4: families in the order of their first metric, each metric in that
  /// of its making.
  std::string PrometheusText() const;

 private:
  enum class Kind : uint8_t { kCounter, kGauge, kHistogram };
  struct Metric {
    Labels labels;
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };
  struct Family {
    std::string name;
    std::string help;
    Kind kind;
    std::deque<Metric> metrics;
    std::unordered_multimap<size_t, Metric*> by_labels;  // by their hash; the same metrics
  };

  Metric& FindOrAdd(std::string_view name, std::string_view help, Kind kind, const Labels& labels);
  static void PrintMetric(const Family& family, const Metric& metric, std::string* out);

  mutable std::mutex mutex_;
  std::deque<Family> families_;  // guarded by mutex_
};

}  // namespace lockstep::telemetry

#endif  // LOCKSTEP_RUNTIME_TELEMETRY_METRICS_H_
