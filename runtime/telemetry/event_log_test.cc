// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/telemetry/event_log.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/sim_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::telemetry {
namespace {

using base::Code;
using base::Round;
using base::testing::StatusIs;
using ::testing::HasSubstr;

proto::Event Spawned(int rank) {
  proto::Event event;
  event.mutable_rank_spawned()->set_rank(rank);
  event.mutable_rank_spawned()->set_pid(1000 + rank);
  return event;
}

class EventLogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::string(::getenv("TEST_TMPDIR")) + "/event_log_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    options_.path = folder_ + "/events.jsonl";
    options_.job_id = "mnist-a1b2c3";
    options_.host = "node-0";
    options_.on_trouble = [this](base::Status why) { troubles_.push_back(std::move(why)); };
    Make();
  }
  void TearDown() override {
    log_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Make() {
    log_.reset();
    log_ = std::make_unique<EventLog>(options_, loop_);
  }
  void RunFor(base::Duration time) {
    event::testing::RunUntil(loop_, [] { return false; }, time);
  }
  std::vector<std::string> Lines() {
    std::ifstream in(options_.path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  static proto::Event Parse(const std::string& line) {
    proto::Event event;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &event).ok()) << line;
    return event;
  }

  event::SimLoop loop_;
  std::string folder_;
  EventLog::Options options_;
  std::vector<base::Status> troubles_;
  std::unique_ptr<EventLog> log_;
};

TEST_F(EventLogTest, EventsBecomeStampedLines) {
  log_->Append(Round(2), Spawned(3));
  RunFor(std::chrono::milliseconds(30));

  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_EQ(
      Lines()[0],
      R"({"time":"1970-01-01T00:00:01.000000Z","steady_ns":"1000000000","job_id":"mnist-a1b2c3","host":"node-0",)"
      R"("round":2,"rank_spawned":{"rank":3,"pid":"1003"}})");
  const proto::Event event = Parse(Lines()[0]);
  EXPECT_EQ(event.rank_spawned().pid(), 1003);
}

TEST_F(EventLogTest, NothingIsWrittenBeforeTheDelay) {
  log_->Append(Round(0), Spawned(0));
  RunFor(std::chrono::milliseconds(10));
  EXPECT_FALSE(std::filesystem::exists(options_.path));

  log_->Flush();

  EXPECT_EQ(Lines().size(), 1u);
}

TEST_F(EventLogTest, DestructionWritesWhatIsPendingAndKeepsOldLines) {
  for (int i = 0; i < 3; ++i) {
    log_->Append(Round(0), Spawned(i));
    Make();
  }

  ASSERT_EQ(Lines().size(), 3u);
  EXPECT_EQ(Parse(Lines()[2]).rank_spawned().rank(), 2);
}

TEST_F(EventLogTest, TextWithNewlinesStaysOneLine) {
  proto::Event event;
  event.mutable_notice()->set_text("two\nlines \"quoted\" \x01");
  log_->Append(Round(0), event);
  log_->Flush();

  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_EQ(Parse(Lines()[0]).notice().text(), event.notice().text());
}

TEST_F(EventLogTest, FullQueueDropsAndSaysSo) {
  options_.pending_events_max = 3;
  Make();

  for (int i = 0; i < 5; ++i) log_->Append(Round(0), Spawned(i));
  RunFor(std::chrono::milliseconds(30));

  EXPECT_EQ(log_->dropped_total(), 2u);
  ASSERT_EQ(Lines().size(), 4u);
  EXPECT_EQ(Parse(Lines()[0]).events_dropped().count(), 2u);
  ASSERT_EQ(troubles_.size(), 1u);
  EXPECT_THAT(troubles_[0], StatusIs(Code::kResourceExhausted, HasSubstr("3 are waiting")));
}

TEST_F(EventLogTest, FileAtItsLimitTakesNoMore) {
  options_.file_bytes_max = 500;
  Make();

  for (int i = 0; i < 10; ++i) {
    log_->Append(Round(0), Spawned(i));
    log_->Flush();
  }
  RunFor(std::chrono::milliseconds(1));

  EXPECT_LE(std::filesystem::file_size(options_.path), 500u);
  EXPECT_EQ(Lines().size() + log_->dropped_total(), 10u);
  EXPECT_EQ(troubles_.size(), 1u);
}

TEST_F(EventLogTest, UnwritablePathIsToldOnceAndNothingFails) {
  options_.path = "/proc/no/such/folder/events";
  Make();

  for (int i = 0; i < 3; ++i) {
    log_->Append(Round(0), Spawned(i));
    RunFor(std::chrono::milliseconds(30));
  }

  EXPECT_EQ(log_->dropped_total(), 3u);
  ASSERT_EQ(troubles_.size(), 1u);
  EXPECT_THAT(troubles_[0].message(), HasSubstr("/proc/no/such/folder/events"));
}

// RLIMIT_FSIZE cuts a write short as a full disk does.
TEST_F(EventLogTest, TornLineIsEndedWhenThereIsSpaceAgain) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 200, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  for (int i = 0; i < 3; ++i) {
    log_->Append(Round(0), Spawned(i));
    log_->Flush();
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);

  log_->Append(Round(0), Spawned(7));
  log_->Flush();

  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 4u);  // one whole, one torn, the count, the new one
  EXPECT_EQ(Parse(lines[0]).rank_spawned().rank(), 0);
  EXPECT_EQ(Parse(lines[2]).events_dropped().count(), 2u);
  EXPECT_EQ(Parse(lines[3]).rank_spawned().rank(), 7);
}

}  // namespace
}  // namespace lockstep::telemetry
