// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_E2E_RUN_FIXTURE_H_
#define LOCKSTEP_TESTS_E2E_RUN_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/e2e/command.h"

namespace lockstep::e2e {

std::vector<std::string> Lines(const std::string& text);
bool Contains(const std::string& text, const std::string& part);
int CountOf(const std::string& text, const std::string& part);

/// `lockstep run WORDS...`
std::vector<std::string> RunWords(std::vector<std::string> words);
/// `lockstep run WORDS... -- sh -c SCRIPT`
std::vector<std::string> RunScript(std::vector<std::string> words, const std::string& script);

/// A test with a scratch of its own, in which nothing may run when it is over.
class RunFixture : public ::testing::Test {
 protected:
  void TearDown() override;

  Outcome RunIt(std::vector<std::string> words) const;
  Outcome RunScriptIt(std::vector<std::string> words, const std::string& script) const;
  /// Any other verb: Verb({"ps", "--all"}).
  Outcome Verb(std::vector<std::string> words) const;
  Command::Options Options() const;
  /// For ranks that wait for the test in `read word <go`: makes the fifo ...
  void MakeGo(const std::string& name = "go") const;
  /// ... and lets one of them go on. False when none has come there after 20 s. Ranks that wait at
  /// the same time need one each: they would share the bytes of a word.
  bool LetGo(const std::string& name = "go") const;
  /// The directory of the one job of that name; "" when there is none.
  std::string JobFolder(const std::string& name) const;

  Scratch scratch_;
};

}  // namespace lockstep::e2e

#endif  // LOCKSTEP_TESTS_E2E_RUN_FIXTURE_H_
