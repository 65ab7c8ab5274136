// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/metrics_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/storage/fake_file_system.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::testing::StatusIs;
using storage::ReadText;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kPath = "/metrics/job.prom";

/// As MetricsText begins.
std::string Text(const std::string& job, int step) {
  return "# HELP lockstep_job_info 1.\n# TYPE lockstep_job_info gauge\nlockstep_job_info{job=\"" +
         job + "\",host=\"a\"} 1\nlockstep_job_step{job=\"" + job + "\"} " + std::to_string(step) +
         "\n";
}

class MetricsFileTest : public ::testing::Test {
 protected:
  MetricsFileTest() { EXPECT_OK(files_.MakeDirectories("/metrics")); }
  std::string Shown() {
    const auto text = ReadText(files_, kPath, 1000);
    return text.ok() ? *text : "none";
  }
  std::vector<std::string> Names() {
    const auto names = files_.ListDirectory("/metrics");
    EXPECT_OK(names.status());
    return names.ok() ? *names : std::vector<std::string>();
  }
  void Put(const std::string& path, const std::string& text) {
    const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
    EXPECT_OK(files_.WriteFile(path, {&bytes, 1}, {}));
  }

  storage::FakeFileSystem files_;
};

TEST_F(MetricsFileTest, IsReplacedAsAWholeAndGoneAtTheEnd) {
  {
    MetricsFile file(kPath, "train-a", files_);
    EXPECT_OK(file.Open(Text("train-a", 1)));
    EXPECT_EQ(Shown(), Text("train-a", 1));
    EXPECT_OK(file.Write(Text("train-a", 2)));
    ASSERT_TRUE(file.Await(10s));
    EXPECT_EQ(Shown(), Text("train-a", 2));
    EXPECT_THAT(Names(), ElementsAre("job.prom"));
  }
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(MetricsFileTest, WhicheverCallFailsNothingOldIsLeftAndTheNextTellsWhy) {
  MetricsFile file(kPath, "train-a", files_);
  ASSERT_OK(file.Open(Text("train-a", 1)));
  for (const int call : {1, 2}) {
    files_.FailCall(call);
    EXPECT_OK(file.Write(Text("train-a", 2)));
    ASSERT_TRUE(file.Await(10s));
    files_.FailCall(0);
    EXPECT_THAT(Names(), IsEmpty());

    EXPECT_THAT(file.Write(Text("train-a", 3)),
                StatusIs(Code::kResourceExhausted, HasSubstr("/metrics/job.prom")));
    ASSERT_TRUE(file.Await(10s));
    EXPECT_EQ(Shown(), Text("train-a", 3));
  }
}

TEST_F(MetricsFileTest, WhatIsNoMetricsIsNeitherReplacedNorRemoved) {
  for (const char* const theirs : {"import torch\n", ""}) {
    Put(kPath, theirs);
    {
      MetricsFile file(kPath, "train-a", files_);
      EXPECT_THAT(file.Open(Text("train-a", 1)),
                  StatusIs(Code::kFailedPrecondition, HasSubstr("not the metrics of a job")));
    }
    EXPECT_EQ(Shown(), theirs);
  }
}

TEST_F(MetricsFileTest, AnotherJobsAreReplacedAndNotRemoved) {
  Put(kPath, Text("dead-b", 1));
  {
    MetricsFile file(kPath, "train-a", files_);
    EXPECT_OK(file.Open(Text("train-a", 1)));
    EXPECT_EQ(Shown(), Text("train-a", 1));
    Put(kPath, Text("train-ab", 1));  // which was begun meanwhile
  }
  EXPECT_EQ(Shown(), Text("train-ab", 1));
}

TEST_F(MetricsFileTest, OfAnAgentThatWasKilledNothingIsLeft) {
  Put(kPath, Text("train-a", 1));
  Put("/metrics/job.prom.train-a.tmp", "# HE");
  Put("/metrics/job.prom.train-b.tmp", "# HE");
  RemoveMetricsOf("train-a", kPath, files_);
  EXPECT_THAT(Names(), ElementsAre("job.prom.train-b.tmp"));

  Put(kPath, "import torch  # lockstep_job_info{job=\"train-a\",\n");
  RemoveMetricsOf("train-a", kPath, files_);
  EXPECT_THAT(Names(), ElementsAre("job.prom", "job.prom.train-b.tmp"));
}

/// An empty one whose writes hang from the second on, until they are let go.
class HangingFiles final : public storage::FileSystem {
 public:
  base::Status MakeDirectory(const std::string&) override { return base::OkStatus(); }
  base::Status MakeDirectories(const std::string&) override { return base::OkStatus(); }
  base::Status WriteFile(const std::string&, std::span<const std::span<const std::byte>>,
                         WriteOptions) override {
    if (++writes_ > 1) let_go.get_future().wait_for(10s);
    return base::OkStatus();
  }
  base::Status SyncDirectory(const std::string&) override { return base::OkStatus(); }
  base::Status Rename(const std::string&, const std::string&) override { return base::OkStatus(); }
  base::Status RemoveFile(const std::string&) override { return base::OkStatus(); }
  base::Status RemoveTree(const std::string&) override { return base::OkStatus(); }
  base::Result<std::vector<std::string>> ListDirectory(const std::string&) override {
    return std::vector<std::string>();
  }
  base::Result<std::vector<std::byte>> ReadFile(const std::string& path, size_t) override {
    return base::NotFoundError("open " + path);
  }

  std::promise<void> let_go;

 private:
  int writes_ = 0;
};

TEST(HangingMetricsTest, AFileSystemThatHangsHoldsNobody) {
  HangingFiles files;
  MetricsFile file("/no/such/folder/job.prom", "train-a", files);
  ASSERT_OK(file.Open(Text("train-a", 1)));
  EXPECT_OK(file.Write(Text("train-a", 2)));
  EXPECT_FALSE(file.Await(1ms));
  EXPECT_THAT(file.Write(Text("train-a", 3)),
              StatusIs(Code::kDeadlineExceeded, HasSubstr("has not taken the last ones")));
  files.let_go.set_value();
  EXPECT_TRUE(file.Await(10s));
}

}  // namespace
}  // namespace lockstep::launcher
