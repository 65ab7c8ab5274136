// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/proto/redact.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string>

namespace lockstep::proto {
namespace {

constexpr std::string_view kSecretWords[] = {
    "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "CREDENTIAL", "COOKIE", "AUTH"};

}  // namespace

bool IsSecretName(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  return std::any_of(std::begin(kSecretWords), std::end(kSecretWords),
                     [&](std::string_view word) { return upper.find(word) != std::string::npos; });
}

TrainingJob RedactedCopy(const TrainingJob& job) {
  TrainingJob copy = job;
  if (!job.spec().has_program()) return copy;
  for (EnvironmentVariable& variable : *copy.mutable_spec()->mutable_program()->mutable_env()) {
    if (IsSecretName(variable.name())) variable.set_value(std::string(kRedacted));
  }
  return copy;
}

}  // namespace lockstep::proto
