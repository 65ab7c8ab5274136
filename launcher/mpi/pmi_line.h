// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_PMI_LINE_H_
#define LOCKSTEP_LAUNCHER_MPI_PMI_LINE_H_

#include <map>
#include <string>
#include <string_view>

namespace lockstep::launcher {

/// One request of PMI-1, "cmd=put kvsname=job key=a value=b": words NAME=VALUE. Of equal names the
/// first counts; words without '=' are left out. A plain value, for any thread.
class PmiLine {
 public:
  /// `text` is without its newline.
  explicit PmiLine(std::string_view text);

  /// "" when there is none.
  const std::string& command() const { return Value("cmd"); }
  const std::string& Value(const std::string& name) const;
  bool Has(const std::string& name) const { return values_.contains(name); }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_PMI_LINE_H_
