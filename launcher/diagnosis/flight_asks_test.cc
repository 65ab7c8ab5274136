// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/flight_asks.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/diagnosis/imports/pickle_reader.h"
#include "collectives/diagnosis/imports/tree.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {
namespace {

using namespace std::chrono_literals;
using base::Rank;
using base::testing::StatusIs;
using ::testing::HasSubstr;

/// Of one entry. A pickle, as torch writes it; and protobuf, which reads JSON, is not made for the
/// thread sanitizer.
const std::string& Dump() {
  static const std::string* const dump = [] {
    using collectives::Tree;
    const auto entry = Tree::Map(), whole = Tree::Map(), entries = Tree::List();
    const std::pair<std::string, collectives::TreePtr> fields[] = {
        {"record_id", Tree::Integer(0)},
        {"collective_seq_id", Tree::Integer(1)},
        {"process_group", Tree::Texts({"0", "default_pg"})},
        {"profiling_name", Tree::Text("nccl:all_reduce")},
        {"state", Tree::Text("scheduled")}};
    for (const auto& [name, value] : fields) EXPECT_OK(entry->Set(name, value));
    EXPECT_OK(entries->Append(entry));
    EXPECT_OK(whole->Set("version", Tree::Text("2.10")));
    EXPECT_OK(whole->Set("entries", entries));
    return new std::string(collectives::WritePickle(*whole));
  }();
  return *dump;
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

bool Pause(base::Duration) {
  ::poll(nullptr, 0, 5);
  return true;
}

class FlightAsksTest : public ::testing::Test {
 protected:
  FlightAsksTest() {
    folder_ = ::testing::TempDir() + "/asks-XXXXXX";
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
  }
  ~FlightAsksTest() override { std::filesystem::remove_all(folder_); }

  std::string PipeOf(int rank) const { return folder_ + "/ask_" + std::to_string(rank) + ".pipe"; }
  std::string DumpOf(int rank) const { return folder_ + "/trace_" + std::to_string(rank); }
  FlightAsk Of(int rank) const {
    return {.rank = Rank(rank), .files = {.pipe = PipeOf(rank), .dump = DumpOf(rank)}};
  }
  /// Made and held open as torch does.
  base::UniqueFd Listen(int rank) const {
    EXPECT_EQ(::mkfifo(PipeOf(rank).c_str(), 0666), 0);
    return base::UniqueFd(::open(PipeOf(rank).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  FlightAnswer AskOne(base::Duration limit,
                      const std::function<bool(base::Duration)>& pause = Pause) const {
    FlightAnswers answers = AskFlights({Of(0)}, limit, pause);
    EXPECT_EQ(answers.ranks.size(), 1U);
    EXPECT_EQ(answers.ranks.front().rank, Rank(0));
    return std::move(answers.ranks.front());
  }

  std::string folder_;
};

std::string ReadFrom(int fd) {
  char text[16];
  const ssize_t count = ::read(fd, text, sizeof text);
  return count > 0 ? std::string(text, static_cast<size_t>(count)) : "";
}

TEST_F(FlightAsksTest, WhatIsWrittenAfterTheQuestionIsTheAnswer) {
  const base::UniqueFd pipe = Listen(0);
  Write(DumpOf(0), "an older one");
  int pauses = 0;

  const FlightAnswer answer = AskOne(20s, [&](base::Duration) {
    // torch truncates the file and writes into it.
    ++pauses;
    if (pauses == 1) {
      EXPECT_EQ(ReadFrom(pipe.get()), "1\n");
    }
    if (pauses == 2) Write(DumpOf(0), Dump().substr(0, Dump().size() / 2));
    if (pauses == 4) Write(DumpOf(0), Dump());
    return true;
  });

  ASSERT_OK(answer.status);
  EXPECT_EQ(answer.bytes, Dump());
  EXPECT_EQ(answer.dump.entries.at(0).name, "nccl:all_reduce");
  EXPECT_EQ(pauses, 4) << "what was half written was no answer";
}

TEST_F(FlightAsksTest, OneThatAnswersIsHeardThoughAnotherDoesNot) {
  const base::UniqueFd first = Listen(0), second = Listen(1);

  const FlightAnswers answers = AskFlights({Of(0), Of(1), Of(2)}, 100ms, [&](base::Duration) {
    if (ReadFrom(second.get()) == "1\n") Write(DumpOf(1), Dump());
    return Pause({});
  });

  EXPECT_THAT(answers.ranks.at(0).status,
              StatusIs(base::Code::kDeadlineExceeded, HasSubstr("has not written its dump")));
  EXPECT_OK(answers.ranks.at(1).status);
  EXPECT_THAT(answers.ranks.at(2).status, StatusIs(base::Code::kNotFound));
  EXPECT_GT(answers.asked_ns, 0);
}

TEST_F(FlightAsksTest, ADumpThatEndsTooSoonIsSaid) {
  const base::UniqueFd pipe = Listen(0);

  const FlightAnswer answer = AskOne(100ms, [&](base::Duration time) {
    if (!ReadFrom(pipe.get()).empty()) Write(DumpOf(0), "\x80\x02}");
    return Pause(time);
  });

  EXPECT_THAT(answer.status, StatusIs(base::Code::kDataLoss, HasSubstr("cut short")));
}

TEST_F(FlightAsksTest, WhatNobodyListensToIsNotWaitedFor) {
  const auto fails = [](base::Duration) { return ADD_FAILURE() << "it waits", false; };
  EXPECT_THAT(AskOne(20s, fails).status, StatusIs(base::Code::kNotFound));

  Listen(0).reset();
  EXPECT_THAT(AskOne(20s, fails).status,
              StatusIs(base::Code::kUnavailable, HasSubstr("nobody reads it")));
}

TEST_F(FlightAsksTest, WhatIsNoPipeIsLeftAlone) {
  const auto fails = [](base::Duration) { return ADD_FAILURE() << "it waits", false; };
  Write(PipeOf(0), "a file");
  EXPECT_THAT(AskOne(20s, fails).status,
              StatusIs(base::Code::kFailedPrecondition, HasSubstr("no named pipe")));
  EXPECT_EQ(std::filesystem::file_size(PipeOf(0)), 6U);

  const base::UniqueFd other = Listen(1);
  std::filesystem::remove(PipeOf(0));
  std::filesystem::create_symlink(PipeOf(1), PipeOf(0));
  EXPECT_THAT(AskOne(20s, fails).status,
              StatusIs(base::Code::kFailedPrecondition, HasSubstr("symbolic link")));
  EXPECT_EQ(ReadFrom(other.get()), "");

  std::filesystem::remove(PipeOf(0));
  std::filesystem::create_directory(PipeOf(0));
  EXPECT_FALSE(AskOne(20s, fails).status.ok());
}

TEST_F(FlightAsksTest, ADumpThatIsNoFileOrFarTooLargeIsRefused) {
  base::UniqueFd pipe = Listen(0);
  const auto puts = [&](const std::function<void()>& put) {
    std::filesystem::remove_all(DumpOf(0));
    return AskOne(20s, [&](base::Duration time) {
      if (!ReadFrom(pipe.get()).empty()) put();
      return Pause(time);
    });
  };

  EXPECT_THAT(puts([&] { ::mkfifo(DumpOf(0).c_str(), 0600); }).status,
              StatusIs(base::Code::kFailedPrecondition));
  EXPECT_FALSE(puts([&] { std::filesystem::create_symlink("/dev/zero", DumpOf(0)); }).status.ok());
  EXPECT_THAT(puts([&] {
                Write(DumpOf(0), "");
                std::filesystem::resize_file(DumpOf(0), kFlightDumpBytesMax + 1);
              }).status,
              StatusIs(base::Code::kOutOfRange, HasSubstr("16 MiB")));
}

TEST_F(FlightAsksTest, TheLoopGoesOnMeanwhile) {
  const base::RealClock clock;
  const auto loop = *event::EpollLoop::Create(clock);
  FlightAsks asks(*loop, 20s);
  const base::UniqueFd pipe = Listen(0);
  std::optional<FlightAnswers> heard;
  const auto watch = loop->Watch(pipe.get(), {.readable = true}, [&](event::Readiness) {
    if (!ReadFrom(pipe.get()).empty()) Write(DumpOf(0), Dump());
  });

  for (int time = 0; time < 2; ++time) {
    heard.reset();
    asks.Ask({Of(0)}, [&](FlightAnswers answers) {
      heard = std::move(answers);
      loop->Quit();
    });
    EXPECT_FALSE(heard.has_value()) << "it has called back inside the call";
    loop->Run();
    ASSERT_TRUE(heard.has_value());
    EXPECT_OK(heard->ranks.at(0).status);
  }
}

TEST_F(FlightAsksTest, AReadingThatHangsIsGivenUpAndHoldsUpOneThread) {
  const base::RealClock clock;
  const auto loop = *event::EpollLoop::Create(clock);
  struct Disk {
    std::promise<void> comes_back;
    std::shared_future<void> is_back = comes_back.get_future().share();
    std::atomic<int> readings{0};
  };
  const auto disk = std::make_shared<Disk>();
  FlightAsks asks(*loop, 50ms, [disk](const auto& ranks, base::Duration, const auto&) {
    FlightAnswers answers;
    answers.asked_ns = ++disk->readings;
    disk->is_back.wait();
    for (const FlightAsk& ask : ranks) answers.ranks.push_back({.rank = ask.rank, .status = {}});
    return answers;
  });
  std::vector<FlightAnswers> heard;
  const auto ask = [&] {
    asks.Ask({Of(0), Of(1)}, [&](FlightAnswers answers) {
      heard.push_back(std::move(answers));
      loop->Quit();
    });
    loop->Run();
  };

  ask();
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_THAT(heard[0].hangs, StatusIs(base::Code::kDeadlineExceeded, HasSubstr(DumpOf(0))));
  ASSERT_EQ(heard[0].ranks.size(), 2U);
  EXPECT_THAT(heard[0].ranks[1].status, StatusIs(base::Code::kDeadlineExceeded));
  ask();
  ASSERT_EQ(heard.size(), 2U);
  EXPECT_THAT(heard[1].hangs, StatusIs(base::Code::kUnavailable, HasSubstr("still hangs")));
  EXPECT_EQ(disk->readings, 1);

  disk->comes_back.set_value();
  for (int time = 0; time < 1000 && !heard.back().hangs.ok(); ++time) {
    ask();
    Pause({});
  }
  EXPECT_OK(heard.back().hangs) << "it can be asked again";
  EXPECT_OK(heard.back().ranks.at(0).status);
  EXPECT_GE(heard.back().asked_ns, 2) << "what it said to the first question is nobody's";
}

TEST_F(FlightAsksTest, NobodyIsToldWhenTheAskerIsGone) {
  const base::RealClock clock;
  const auto loop = *event::EpollLoop::Create(clock);
  const base::UniqueFd pipe = Listen(0);
  auto asks = std::make_unique<FlightAsks>(*loop, 20s);
  asks->Ask({Of(0)}, [](const FlightAnswers&) { ADD_FAILURE() << "nobody is there"; });
  const auto watch = loop->Watch(pipe.get(), {.readable = true}, [&](event::Readiness) {
    asks.reset();
    Write(DumpOf(0), Dump());
    loop->Quit();
  });

  loop->Run();
  const auto later = loop->After(150ms, [&] { loop->Quit(); });
  loop->Run();
}

}  // namespace
}  // namespace lockstep::launcher
