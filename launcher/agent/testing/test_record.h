// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_AGENT_TESTING_TEST_RECORD_H_
#define LOCKSTEP_LAUNCHER_AGENT_TESTING_TEST_RECORD_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "launcher/agent/job_record.h"
#include "launcher/jobs/job_directory.h"
#include "runtime/base/status.h"
#include "runtime/event/loop.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher::testing {

/// The record of job train-a1b2c3 in a folder of the running test's own. That something cannot be
/// kept is a failure of the test.
class TestRecord {
 public:
  explicit TestRecord(event::Loop& loop)
      : folder_(std::string(std::getenv("TEST_TMPDIR")) + "/" +
                ::testing::UnitTest::GetInstance()->current_test_info()->name()),
        record_({.directory = JobDirectory(folder_, "train-a1b2c3", "h0", files_),
                 .state = {},
                 .here = {},
                 .socket_path = "",
                 .spec_text = "",
                 .log_directory = ""},
                loop, [](const base::Status& why) { ADD_FAILURE() << why; }) {}

  JobRecord& record() { return record_; }
  const std::string& folder() const { return folder_; }

 private:
  storage::RealFileSystem files_;
  const std::string folder_;
  JobRecord record_;
};

}  // namespace lockstep::launcher::testing

#endif  // LOCKSTEP_LAUNCHER_AGENT_TESTING_TEST_RECORD_H_
