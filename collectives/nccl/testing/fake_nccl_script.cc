// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/testing/fake_nccl_script.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <string>

namespace lockstep::collectives::testing {
namespace {

FakeFaults Parse(const std::string& script) {
  FakeFaults faults;
  const std::map<std::string, FakeFault*> names = {
      {"init_never", &faults.init_never},     {"in_progress", &faults.in_progress},
      {"async_error", &faults.async_error},   {"call_blocks", &faults.call_blocks},
      {"abort_blocks", &faults.abort_blocks}, {"abort_crashes", &faults.abort_crashes},
      {"wrong_result", &faults.wrong_result}};
  std::istringstream words(script);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('='), colon = word.find(':');
    const auto found = names.find(word.substr(0, equals));
    if (found == names.end() || equals == std::string::npos) FakeDie("a fault it does not know");
    found->second->rank = std::atoi(word.c_str() + equals + 1);
    if (colon != std::string::npos) found->second->after = std::atoi(word.c_str() + colon + 1);
  }
  return faults;
}

}  // namespace

void FakeDie(const char* what) {
  std::fprintf(stderr, "fake nccl: %s\n", what);
  std::abort();
}

FakeScript::FakeScript() {
  const char* const text = std::getenv("FAKE_NCCL_FAULTS");
  if (text != nullptr) faults_ = Parse(text);
}

FakeScript& FakeScript::Get() {
  static FakeScript script;
  return script;
}

void FakeScript::Set(const char* text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  faults_ = Parse(text);
}

FakeFaults FakeScript::faults() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return faults_;
}

}  // namespace lockstep::collectives::testing
