// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_DIAGNOSIS_ROBUST_H_
#define LOCKSTEP_COLLECTIVES_DIAGNOSIS_ROBUST_H_

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <vector>

#include "runtime/base/clock.h"

/// Statistics that a few wild values do not move. Pure functions, for any thread; 0 of nothing.
namespace lockstep::collectives {

inline double Seconds(base::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

inline double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 != 0) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

/// The median absolute deviation from `middle`, as large as the standard deviation of normal noise.
inline double Scatter(const std::vector<double>& values, double middle) {
  std::vector<double> off;
  off.reserve(values.size());
  for (const double value : values) off.push_back(std::abs(value - middle));
  return 1.4826 * Median(std::move(off));
}

inline double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

/// The standard deviation, of a sample.
inline double Deviation(const std::vector<double>& values, double mean) {
  if (values.size() < 2) return 0;
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

/// The median of all values but one, for each of them; sorts once.
class MedianOfOthers {
 public:
  explicit MedianOfOthers(const std::vector<double>& values) : values_(values), sorted_(values) {
    std::sort(sorted_.begin(), sorted_.end());
  }

  double Without(size_t index) const {
    const size_t others = sorted_.size() - 1;
    if (sorted_.size() < 2) return 0;
    const auto place = static_cast<size_t>(
        std::lower_bound(sorted_.begin(), sorted_.end(), values_[index]) - sorted_.begin());
    const auto at = [&](size_t i) { return sorted_[i < place ? i : i + 1]; };
    return others % 2 != 0 ? at(others / 2) : (at(others / 2 - 1) + at(others / 2)) / 2;
  }

 private:
  std::vector<double> values_, sorted_;
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_DIAGNOSIS_ROBUST_H_
