// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/ssh_fixture.h"

#include <gmock/gmock.h>

#include <utility>

#include "runtime/base/testing/status_matchers.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {
namespace {

using namespace std::chrono_literals;
using base::testing::IsOk;
using hosts::Hosts;
using hosts::kController;
using ::testing::IsEmpty;

std::string WithoutNotes(const std::string& err) {
  std::string rest;
  for (const std::string& line : Lines(err)) {
    if (!Contains(line, "is not there; ranks start in /root")) rest += line + "\n";
  }
  return rest;
}

}  // namespace

Hosts* SshFixture::kit_ = nullptr;
base::Status* SshFixture::trouble_ = nullptr;

void SshFixture::SetUpTestSuite() {
  auto made = Hosts::Create({.count = 4});
  if (!made.ok()) {
    trouble_ = new base::Status(made.status());
  } else {
    kit_ = made->release();
  }
}

void SshFixture::TearDownTestSuite() {
  delete kit_;
  delete trouble_;
  kit_ = nullptr;
  trouble_ = nullptr;
}

void SshFixture::SetUp() {
  if (trouble_ != nullptr && Hosts::Unsupported(*trouble_)) GTEST_SKIP() << *trouble_;
  ASSERT_NE(kit_, nullptr) << *trouble_;
  ASSERT_THAT(kit_->Heal(), IsOk());
}

void SshFixture::TearDown() {
  if (kit_ == nullptr) return;
  EXPECT_THAT(kit_->Heal(), IsOk());
  for (int host = 0; host < kit_->count(); ++host) {
    if (!kit_->up(host)) {
      EXPECT_THAT(kit_->Boot(host), IsOk());
    }
    EXPECT_TRUE(Eventually([&] { return kit_->CountProcesses(host) == 0; }, 10s))
        << Hosts::Name(host) << ": " << kit_->CountProcesses(host) << " processes are left";
  }
  EXPECT_THAT(scratch_.LeftoversAfter(5s), IsEmpty());
}

hosts::ProgramOptions SshFixture::Options() const {
  hosts::ProgramOptions options;
  options.environment = scratch_.Environment();
  options.directory = scratch_.path();
  return options;
}

std::vector<std::string> SshFixture::Words(std::vector<std::string> words) {
  words.insert(words.begin(), {"--ssh-config", Hosts::SshConfig()});
  return RunWords(std::move(words));
}

std::vector<std::string> SshFixture::ScriptWords(std::vector<std::string> words,
                                                 const std::string& script) {
  words.insert(words.end(), {"--", "/bin/sh", "-c", script});
  return Words(std::move(words));
}

Outcome SshFixture::RunIt(std::vector<std::string> words) const {
  Outcome outcome = kit_->Run(kController, Words(std::move(words)), Options(), 60s);
  outcome.err = WithoutNotes(outcome.err);
  return outcome;
}

Outcome SshFixture::RunScriptIt(std::vector<std::string> words, const std::string& script) const {
  Outcome outcome = kit_->Run(kController, ScriptWords(std::move(words), script), Options(), 60s);
  outcome.err = WithoutNotes(outcome.err);
  return outcome;
}

std::unique_ptr<hosts::Program> SshFixture::Start(std::vector<std::string> words,
                                                  const std::string& script) const {
  auto started = kit_->Spawn(kController, ScriptWords(std::move(words), script), Options());
  EXPECT_THAT(started, IsOk());
  return started.ok() ? *std::move(started) : nullptr;
}

bool SshFixture::WaitForLines(const hosts::Program& program, size_t count) {
  return program.WaitForOutput(
      [count](const std::string& out, const std::string&) { return Lines(out).size() >= count; },
      30s);
}

}  // namespace lockstep::e2e
