// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_RANK_AGENT_IN_PROCESS_H_
#define LOCKSTEP_TESTS_RANK_AGENT_IN_PROCESS_H_

#include <stdlib.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "launcher/attach/attach_server.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/rank/session.h"
#include "runtime/rank/session_factory.h"

namespace lockstep::rank {

/// The attach server of an agent, on a loop in a thread of its own; the ranks are threads of the
/// test. Confined to the test's thread, but for Join.
class AgentInProcess {
 public:
  /// Told of each rank's steps, on the loop.
  using OnProgress = std::function<void(base::Rank, base::Incarnation, int64_t step)>;

  explicit AgentInProcess(
      OnProgress on_progress = [](base::Rank, base::Incarnation, int64_t) {},
      bool keeps_survivors = false) {
    char folder[] = "/tmp/lssessionXXXXXX";
    folder_ = ::mkdtemp(folder);
    std::promise<void> ready;
    thread_ = std::thread([&] {
      loop_ = std::move(event::EpollLoop::Create(clock_)).value();
      ready.set_value();
      loop_->Run();
    });
    ready.get_future().wait();
    launcher::AttachServer::Config config;
    config.socket_path = folder_ + "/s";
    config.job_id = "job-1";
    config.host = "node-a";
    config.checkpoint_directory = "/data";
    config.on_progress = std::move(on_progress);
    config.keeps_survivors = keeps_survivors;
    OnLoop([&] {
      server_ = std::move(launcher::AttachServer::Create(std::move(config), *loop_)).value();
    });
  }
  ~AgentInProcess() {
    OnLoop([this] { server_.reset(); });
    loop_->Quit();
    thread_.join();
    ::rmdir(folder_.c_str());
  }

  void OnLoop(const std::function<void()>& body) {
    std::promise<void> done;
    loop_->Post([&] {
      body();
      done.set_value();
    });
    done.get_future().wait();
  }

  /// From here on the agent answers nobody, until then or for so long.
  void Hold(const std::shared_future<void>& until, base::Duration at_most) {
    std::promise<void> held;
    auto is_held = held.get_future();
    loop_->Post([until, at_most, held = &held] {
      held->set_value();
      until.wait_for(at_most);
    });
    is_held.wait();
  }

  RankEnvironment EnvironmentOf(int rank, int world_size, int local_world_size) {
    std::string cookie;
    OnLoop([&] {
      cookie = server_->AddRank({.rank = base::Rank(rank),
                                 .local_rank = base::LocalRank(rank % local_world_size),
                                 .incarnation = base::Incarnation(2),
                                 .round = base::Round(2),
                                 .world_size = world_size,
                                 .local_world_size = local_world_size,
                                 .restart_count = 2});
    });
    return {{"LOCKSTEP_SOCKET", folder_ + "/s"}, {"LOCKSTEP_COOKIE", cookie}, {"WORLD_SIZE", "77"}};
  }

  void EndRound() {
    OnLoop([this] { server_->EndRound(); });
  }

  std::unique_ptr<Session> Join(int rank, int world_size) {
    return std::move(CreateSessionFrom(EnvironmentOf(rank, world_size, world_size))).value();
  }

  /// `body` with each rank's session in its thread. The sessions end when all bodies have.
  void RunRanks(int world_size, const std::function<void(Session&)>& body) {
    std::vector<std::unique_ptr<Session>> sessions;
    for (int rank = 0; rank < world_size; ++rank) sessions.push_back(Join(rank, world_size));
    std::vector<std::thread> threads;
    for (auto& session : sessions) threads.emplace_back([&] { body(*session); });
    for (std::thread& thread : threads) thread.join();
  }

 protected:
  base::RealClock clock_;
  std::string folder_;
  std::thread thread_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<launcher::AttachServer> server_;
};

}  // namespace lockstep::rank

#endif  // LOCKSTEP_TESTS_RANK_AGENT_IN_PROCESS_H_
