// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/agent/job_views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "launcher/agent/agent_config.h"
#include "launcher/agent/job_record.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The gang's side of it, which no view asks for anything.
class Nobody final : public GangDelegate {
 public:
  void OnRoundBegins(const elastic::SpawnRanks&) override {}
  void OnAllSpawned() override {}
  void PersistRestarts(int) override {}
  void OnNotice(const elastic::Notice&) override {}
  void OnRoundEnded(const elastic::RoundOutcome&, std::map<base::Rank, RankEvidence>) override {}
  void OnSurvivorsGoOn(const elastic::RoundOutcome&, const std::vector<elastic::GoneRank>&,
                       std::map<base::Rank, RankEvidence>) override {}
  void OnJobEnded(const elastic::JobOutcome&) override {}
};

/// A job that has not begun, whose metrics go into a folder of the test's own.
class JobViewsTest : public ::testing::Test {
 protected:
  JobViewsTest() {
    std::filesystem::create_directories(folder_);
    views_ = std::make_unique<JobViews>(
        JobViews::Config{.job_id = "train-a1b2c3", .host = "a", .metrics_file = path_},
        JobViews::Deps{.loop = loop_,
                       .files = files_,
                       .driver = driver_,
                       .account = account_,
                       .ranks = [] { return std::vector<WatchedRank>(); },
                       .pace = nullptr,
                       .say = [this](const std::string& text) { said_.push_back(text); }});
  }
  std::string Text() {
    const auto text = storage::ReadText(files_, path_, 1 << 20);
    return text.ok() ? *text : "none";
  }
  /// Another thread writes it: whether it is there within ten seconds.
  bool Becomes(const std::string& part) {
    for (int i = 0; i < 1000 && Text().find(part) == std::string::npos; ++i) ::poll(nullptr, 0, 10);
    return Text().find(part) != std::string::npos;
  }

  event::SimLoop loop_;
  storage::RealFileSystem files_;
  const std::string folder_ = std::string(std::getenv("TEST_TMPDIR")) + "/" +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string path_ = folder_ + "/job.prom";
  const AgentConfig config_{.directory = JobDirectory(folder_, "train-a1b2c3", "a", files_)};
  JobRecord record_{{.directory = config_.directory,
                     .state = {},
                     .here = {},
                     .socket_path = "",
                     .spec_text = "",
                     .log_directory = ""},
                    loop_,
                    [](const base::Status& why) { ADD_FAILURE() << why; }};
  JobAccount account_{config_, record_, loop_.clock()};
  Nobody nobody_;
  GangDriver driver_{{}, {loop_, nobody_}};
  std::vector<std::string> said_;
  std::unique_ptr<JobViews> views_;
};

TEST_F(JobViewsTest, TheFileIsWrittenAnewAndGoneOnceTheJobIsOver) {
  ASSERT_OK(views_->Open());
  EXPECT_THAT(Text(), HasSubstr("lockstep_job_age_seconds{job=\"train-a1b2c3\"} 0\n"));

  loop_.RunFor(10s);
  EXPECT_TRUE(Becomes("lockstep_job_age_seconds{job=\"train-a1b2c3\"} 10\n"));

  views_->Close();
  EXPECT_TRUE(Becomes("none"));
  loop_.RunFor(60s);
  views_.reset();  // waits for what is being done
  EXPECT_EQ(Text(), "none");
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(JobViewsTest, ThatItCannotBeWrittenIsSaidOnce) {
  ASSERT_OK(views_->Open());
  std::filesystem::remove_all(folder_);
  loop_.RunFor(60s);
  EXPECT_THAT(said_, ElementsAre(HasSubstr("there are no metrics for now: ")));

  std::filesystem::create_directories(folder_);
  for (int i = 0; i < 1000 && Text() == "none"; ++i) {  // one text is taken at a time
    loop_.RunFor(10s);
    ::poll(nullptr, 0, 10);
  }
  EXPECT_THAT(Text(), HasSubstr("lockstep_job_age_seconds{job=\"train-a1b2c3\"} "));
  EXPECT_EQ(said_.size(), 1u);
}

}  // namespace
}  // namespace lockstep::launcher
