// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/net/resolver.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "runtime/base/detached_thread.h"

namespace lockstep::net {
namespace {

constexpr size_t kQuestionsMax = 1024;

}  // namespace

struct Resolver::Shared {
  struct Asked {
    Endpoint endpoint;
    std::weak_ptr<const Answer> question;  // locked on the loop's thread alone
  };

  Shared(event::Loop& the_loop, LookUp the_look_up)
      : look_up(std::move(the_look_up)), loop(&the_loop) {}

  void Run();

  const LookUp look_up;
  std::mutex mutex;
  std::condition_variable wake;
  event::Loop* loop;        // guarded by mutex; null once the resolver is gone
  std::deque<Asked> queue;  // guarded by mutex
};

void Resolver::Shared::Run() {
  std::unique_lock lock(mutex);
  while (true) {
    wake.wait(lock, [this] { return loop == nullptr || !queue.empty(); });
    if (loop == nullptr) return;
    const Asked asked = std::move(queue.front());
    queue.pop_front();
    if (asked.question.expired()) continue;
    lock.unlock();
    auto addresses = look_up(asked.endpoint);
    lock.lock();
    if (loop == nullptr) return;
    loop->Post([question = asked.question, addresses = std::move(addresses)] {
      if (const Question open = question.lock()) (*open)(addresses);
    });
  }
}

Resolver::Resolver(event::Loop& loop, LookUp look_up)
    : loop_(loop), shared_(std::make_shared<Shared>(loop, std::move(look_up))) {}

Resolver::~Resolver() {
  seq_.AssertHeld();
  std::lock_guard lock(shared_->mutex);
  shared_->loop = nullptr;
  shared_->queue.clear();
  shared_->wake.notify_one();
}

Resolver::Question Resolver::Ask(const Endpoint& endpoint, Answer answer) {
  seq_.AssertHeld();
  auto question = std::make_shared<const Answer>(std::move(answer));
  base::Status refusal;
  if (!EnsureThread()) {
    refusal = base::ResourceExhaustedError("look up " + endpoint.host +
                                           ": no thread could be made for it (ulimit -u)");
  } else {
    std::lock_guard lock(shared_->mutex);
    if (shared_->queue.size() >= kQuestionsMax)
      std::erase_if(shared_->queue, [](const auto& asked) { return asked.question.expired(); });
    if (shared_->queue.size() < kQuestionsMax) {
      shared_->queue.push_back({.endpoint = endpoint, .question = question});
      shared_->wake.notify_one();
      return question;
    }
    refusal = base::ResourceExhaustedError("look up " + endpoint.host + ": " +
                                           std::to_string(kQuestionsMax) + " names wait already");
  }
  loop_.Post([open = std::weak_ptr<const Answer>(question), refusal] {
    if (const Question asked = open.lock()) (*asked)(refusal);
  });
  return question;
}

bool Resolver::EnsureThread() {
  if (!has_thread_)
    has_thread_ = base::StartDetachedThread("lockstep-dns", [shared = shared_] { shared->Run(); });
  return has_thread_;
}

}  // namespace lockstep::net
