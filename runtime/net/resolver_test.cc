// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/testing/status_matchers.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"

namespace lockstep::net {
namespace {

using base::Code;
using base::testing::StatusIs;
using ::testing::HasSubstr;
using Addresses = base::Result<std::vector<SocketAddress>>;

constexpr base::Duration kTimeout = std::chrono::seconds(30);

class ResolverTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(loop_, event::EpollLoop::Create(clock_)); }
  bool RunUntil(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kTimeout);
  }

  const base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
};

TEST_F(ResolverTest, NameOfThisMachineHasAddressesWithThePort) {
  Resolver resolver(*loop_);
  std::optional<Addresses> answer;
  const std::thread::id here = std::this_thread::get_id();
  const auto question = resolver.Ask({"localhost", 29400}, [&](const Addresses& addresses) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    answer = addresses;
  });

  ASSERT_TRUE(RunUntil([&] { return answer.has_value(); }));

  ASSERT_OK(answer->status());
  for (const SocketAddress& address : **answer) EXPECT_EQ(address.port(), 29400);
}

TEST_F(ResolverTest, UnknownNameIsAnError) {
  Resolver resolver(*loop_, [](const Endpoint& endpoint) -> Addresses {
    return base::NotFoundError("look up " + endpoint.host + ": unknown");
  });
  std::optional<Addresses> answer;
  const auto question =
      resolver.Ask({"node7", 1}, [&](const Addresses& addresses) { answer = addresses; });

  ASSERT_TRUE(RunUntil([&] { return answer.has_value(); }));

  EXPECT_THAT(answer->status(), StatusIs(Code::kNotFound, HasSubstr("node7")));
}

TEST_F(ResolverTest, AnswerThatIsNoLongerWantedNeverComes) {
  Resolver resolver(*loop_,
                    [](const Endpoint&) { return Addresses(std::vector<SocketAddress>()); });
  auto dropped = resolver.Ask({"a", 1}, [](const Addresses&) { ADD_FAILURE(); });
  dropped.reset();
  bool answered = false;
  const auto kept = resolver.Ask({"b", 1}, [&](const Addresses&) { answered = true; });

  EXPECT_TRUE(RunUntil([&] { return answered; }));
}

/// The name service hangs; neither the resolver's end nor the loop's waits for it.
TEST_F(ResolverTest, HangingLookUpHoldsUpNobodysEnd) {
  auto asked = std::make_shared<std::promise<void>>();
  auto release = std::make_shared<std::promise<void>>();
  std::promise<void> ended;
  // Goes when the thread does.
  std::shared_ptr<void> held_by_the_thread(nullptr, [&ended](void*) { ended.set_value(); });
  std::shared_future<void> released = release->get_future().share();
  {
    Resolver resolver(*loop_,
                      [asked, released, held = std::move(held_by_the_thread)](const Endpoint&) {
                        asked->set_value();
                        released.wait();
                        return Addresses(std::vector<SocketAddress>());
                      });
    const auto question = resolver.Ask({"a", 1}, [](const Addresses&) { ADD_FAILURE(); });
    ASSERT_EQ(asked->get_future().wait_for(kTimeout), std::future_status::ready);
  }
  loop_.reset();

  release->set_value();
  EXPECT_EQ(ended.get_future().wait_for(kTimeout), std::future_status::ready);
}

TEST_F(ResolverTest, QuestionsThatWaitHaveALimit) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  Resolver resolver(*loop_, [released](const Endpoint&) {
    released.wait();
    return Addresses(std::vector<SocketAddress>());
  });
  std::vector<Resolver::Question> questions;
  size_t answers = 0, refusals = 0;
  for (int i = 0; i < 1026; ++i) {  // the thread has at most one of them in its hands
    questions.push_back(resolver.Ask(
        {"a", 1}, [&](const Addresses& addresses) { ++(addresses.ok() ? answers : refusals); }));
  }
  ASSERT_TRUE(RunUntil([&] { return refusals > 0; }));
  EXPECT_LE(refusals, 2u);

  release.set_value();
  EXPECT_TRUE(RunUntil([&] { return answers + refusals == questions.size(); }));
}

}  // namespace
}  // namespace lockstep::net
