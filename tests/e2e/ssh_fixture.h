// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_E2E_SSH_FIXTURE_H_
#define LOCKSTEP_TESTS_E2E_SSH_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "tests/e2e/command.h"
#include "tests/hosts/hosts.h"

namespace lockstep::e2e {

/// A test of jobs on four hosts that ssh reaches (tests/hosts), started from the controller, which
/// is none of them. The hosts are made once: no test changes what the next one sees, but for what
/// Boot() makes fresh, and after each nothing runs on any of them. Skipped where they cannot exist.
class SshFixture : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  void TearDown() override;

  /// Of programs on the controller.
  hosts::ProgramOptions Options() const;
  /// `lockstep run WORDS...`, with the kit's configuration of ssh.
  static std::vector<std::string> Words(std::vector<std::string> words);
  /// `lockstep run WORDS... -- sh -c SCRIPT`
  static std::vector<std::string> ScriptWords(std::vector<std::string> words,
                                              const std::string& script);

  /// Those to their end, from the controller; without the lines on where ranks start: the hosts
  /// have no such folder as the test's.
  Outcome RunIt(std::vector<std::string> words) const;
  Outcome RunScriptIt(std::vector<std::string> words, const std::string& script) const;
  /// The same without waiting.
  std::unique_ptr<hosts::Program> Start(std::vector<std::string> words,
                                        const std::string& script) const;
  static bool WaitForLines(const hosts::Program& program, size_t count);

  static hosts::Hosts* kit_;
  static base::Status* trouble_;
  Scratch scratch_;
};

}  // namespace lockstep::e2e

#endif  // LOCKSTEP_TESTS_E2E_SSH_FIXTURE_H_
