// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_ATTACH_ATTACH_FIXTURE_H_
#define LOCKSTEP_LAUNCHER_ATTACH_ATTACH_FIXTURE_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "launcher/attach/attach_server.h"
#include "runtime/attach/attach_client.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/status.h"
#include "runtime/event/epoll_loop.h"

namespace lockstep::launcher {

inline constexpr uint32_t kTimeoutMs = 10'000;

/// A test with a real server on a loop's thread of its own, and ranks that are attach clients.
/// Confined to the test's thread.
class AttachFixture : public ::testing::Test {
 protected:
  AttachFixture() {
    char folder[] = "/tmp/lsattachXXXXXX";
    folder_ = mkdtemp(folder);
    config.socket_path = folder_ + "/s";
    config.job_id = "job-1";
    config.host = "node-a";
    config.checkpoint_directory = "/data/checkpoints";
    config.on_progress = [this](base::Rank rank, base::Incarnation incarnation, int64_t step) {
      const std::lock_guard<std::mutex> lock(mutex_);
      progress_.push_back({rank.value(), static_cast<int64_t>(incarnation.value()), step});
      changed_.notify_all();
    };
  }
  ~AttachFixture() override {
    if (loop_ != nullptr) {
      OnLoop([this] { server_.reset(); });
      loop_->Quit();
      thread_.join();
    }
    EXPECT_EQ(rmdir(folder_.c_str()), 0) << "the server left its socket file";
  }

  void Start() {
    std::promise<void> ready;
    thread_ = std::thread([&] {
      loop_ = std::move(event::EpollLoop::Create(clock_)).value();
      ready.set_value();
      loop_->Run();
    });
    ready.get_future().wait();
    OnLoop([this] { server_ = std::move(AttachServer::Create(config, *loop_)).value(); });
  }

  void OnLoop(const std::function<void()>& body) {
    std::promise<void> done;
    loop_->Post([&] {
      body();
      done.set_value();
    });
    done.get_future().wait();
  }

  std::string Add(int rank, int world_size = 2, uint32_t incarnation = 0, uint32_t round = 0) {
    std::string cookie;
    OnLoop([&] {
      cookie = server_->AddRank({.rank = base::Rank(rank),
                                 .local_rank = base::LocalRank(rank),
                                 .incarnation = base::Incarnation(incarnation),
                                 .round = base::Round(round),
                                 .world_size = world_size,
                                 .local_world_size = world_size,
                                 .restart_count = 3});
    });
    return cookie;
  }

  struct Client {
    ~Client() {
      lockstep_attach_close(attach);
      if (ring >= 0) close(ring);
    }
    int result = -1;
    lockstep_attach* attach = nullptr;
    lockstep_attach_world world{};
    int ring = -1;
    lockstep_attach_error error{};
  };

  std::unique_ptr<Client> Attach(const std::string& cookie, uint32_t timeout_ms = kTimeoutMs) {
    auto client = std::make_unique<Client>();
    client->result =
        lockstep_attach_open(config.socket_path.c_str(), cookie.c_str(), timeout_ms,
                             &client->attach, &client->world, &client->ring, &client->error);
    return client;
  }

  static int AskForSegment(Client& client, uint64_t bytes, uint32_t epoch, int* fd,
                           uint64_t group = 9) {
    lockstep_attach_segment_request request{};
    request.group_id = group;
    request.bytes = bytes;
    request.epoch = epoch;
    request.member_count = 2;
    request.member_index = static_cast<uint32_t>(client.world.rank);
    return lockstep_attach_get_segment(client.attach, &request, kTimeoutMs, fd, &client.error);
  }

  static bool Eventually(const std::function<bool()>& holds) {
    for (const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
         std::chrono::steady_clock::now() < limit;) {
      if (holds()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  // A socket that speaks no protocol of its own.
  int RawConnection() {
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, config.socket_path.c_str());
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  AttachServer::Config config;
  base::RealClock clock_;
  std::string folder_;
  std::thread thread_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::unique_ptr<AttachServer> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::array<int64_t, 3>> progress_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_ATTACH_ATTACH_FIXTURE_H_
