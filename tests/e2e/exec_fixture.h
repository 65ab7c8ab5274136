// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_E2E_EXEC_FIXTURE_H_
#define LOCKSTEP_TESTS_E2E_EXEC_FIXTURE_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "runtime/proto/job_state.pb.h"
#include "tests/e2e/command.h"
#include "tests/e2e/run_fixture.h"

namespace lockstep::e2e {

/// A test of `lockstep exec` under launchers that are not Lockstep. When it is over, no agent runs.
class ExecFixture : public RunFixture {
 protected:
  /// Agents whose other ranks never came wait for them a while.
  void TearDown() override;

  /// `lockstep exec WORDS...`
  static std::vector<std::string> Exec(const std::vector<std::string>& words);
  /// `lockstep exec -- exec_rank MODE`
  static std::vector<std::string> ExecRank(const std::string& mode = "");
  /// A shell that starts `ranks` of the words in a loop, waits for all and ends with the status of
  /// the last one that failed.
  static std::vector<std::string> Loop(int ranks, const std::vector<std::string>& words);
  /// `launcher` is "openmpi" or "mpich".
  static std::vector<std::string> Mpirun(const std::string& launcher, int ranks,
                                         const std::vector<std::string>& words);

  /// For whatever this fixture starts: an mpirun that may be root's, with its files in the scratch.
  Command::Options ExecOptions() const;
  Outcome RunWords(const std::vector<std::string>& words) const;

  /// Of every job that is there.
  std::vector<std::string> JobFolders() const;
  /// What the one job's state says; empty when there is not one job.
  proto::JobState State() const;
  pid_t AgentOf(const std::string& folder) const;
  /// Waits for the one job that is there, and its agent, to have ended; false after `at_most`.
  bool HasEndedAfter(std::chrono::milliseconds at_most) const;
  /// Names of the sockets that are there, and of the jobs that count as unfinished.
  std::vector<std::string> WhatIsLeft() const;
};

/// Whether each of `count` ranks has said its place in a world of `count`.
bool AllSaidTheirPlace(const std::string& out, int count);
/// "sum 10" of 4 ranks.
std::string SumLine(const std::string& word, int ranks);
/// The job that a rank's line names.
std::string JobOf(const std::string& out);

}  // namespace lockstep::e2e

#endif  // LOCKSTEP_TESTS_E2E_EXEC_FIXTURE_H_
