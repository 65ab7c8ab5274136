// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/testing/process_faults.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>

#include "collectives/testing/mixed_call.h"
#include "runtime/base/random.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kTimeout = milliseconds(500);
constexpr auto kLatest = kTimeout + seconds(1);  // the contract's
// A scheduler that takes more than that second does so once, a backend each time.
constexpr int kAttempts = 3;
// What a group over TCP may take to tell the others why it ends, and a process to end.
constexpr auto kExitTime = seconds(4);
// ProcessGang has memory for few groups.
constexpr int kSplitsMax = 40;

enum Fault { kKill, kStop, kExit, kNeverCalls, kReset, kBlackhole, kFaults };
constexpr const char* kFaultNames[] = {"kill", "stop", "exit", "never calls", "reset", "blackhole"};

/// What one seed makes of the ranks; the same in all of them.
struct Plan {
  Plan(const ProcessFaultKind& its_kind, uint64_t its_seed) : kind(its_kind), seed(its_seed) {
    base::Random random(seed);
    size = kind.fewest_ranks + static_cast<int>(random.Below(3));
    guilty = static_cast<int>(random.Below(static_cast<uint64_t>(size)));
    fault = static_cast<Fault>(random.Below(kind.has_network ? kFaults : kReset));
    after_ops = static_cast<int>(random.Below(30));
    after_us = static_cast<int>(random.Below(3000));
    splits = random.Below(3) == 0;
  }
  std::string ToString() const {
    return "LOCKSTEP_SEED=" + std::to_string(seed) + ": rank " + std::to_string(guilty) + " of " +
           std::to_string(size) + " " + kind.name + ", " + kFaultNames[fault] + " after " +
           (splits ? "split " : "op ") + std::to_string(after_ops) + " and " +
           std::to_string(after_us) + " us";
  }

  const ProcessFaultKind& kind;
  uint64_t seed;
  int size;
  int guilty;
  Fault fault;
  int after_ops;
  int after_us;
  bool splits;  // nothing but that is called, so that it happens in one of them
};

/// Of this process, each connection and listener over TCP.
void ForEachTcpSocket(const std::function<void(int fd)>& body) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    int domain = 0;
    socklen_t length = sizeof domain;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_INET)
      body(fd);
  }
}

/// As a firewall that forgets a connection does, or a machine that starts anew. Whether there was
/// any.
bool ResetConnections() {
  bool any = false;
  ForEachTcpSocket([&any](int fd) {
    sockaddr_in peer;
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) return;
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    any = ::connect(fd, &nobody, sizeof nobody) == 0 || any;
  });
  return any;
}

bool DropAll(int fd) {
  sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{.len = 1, .filter = &drop};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/// Some kernels let nobody but root do that.
bool MayDropAll() {
  const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return DropAll(fd.get());
}

/// Nothing more that is sent to this process over what it has open arrives, acknowledgements
/// neither.
void HearNothing() {
  ForEachTcpSocket([](int fd) {
    // What another thread has closed meanwhile hears nothing either.
    EXPECT_TRUE(DropAll(fd) || errno == EBADF || errno == ENOTSOCK) << std::strerror(errno);
  });
}

/// What happens to the guilty rank when the test says so, in a thread of its process.
void Suffer(Fault fault, const ProcessGang::Board& board, const std::atomic<bool>& over) {
  bool was_reset = false;
  while (!over.load()) {
    if (board.go.load() > 0) {
      if (fault == kExit) ::_exit(0);
      // Who shares a machine with others may have no connection yet.
      if (fault == kReset && !was_reset) was_reset = ResetConnections();
      if (fault == kBlackhole) HearNothing();
    }
    std::this_thread::sleep_for(milliseconds(1));  // tidy:allow sleep: leaves the ranks their cores
  }
}

void NoteHowLong(ProcessGang::Board& board, base::Duration took) {
  int64_t longest = board.longest_ns.load();
  while (longest < took.count() && !board.longest_ns.compare_exchange_weak(longest, took.count())) {
  }
}

/// Makes a group of the members of `group`, and uses it. Whether both ended well.
bool SplitsWell(Group& group, ProcessGang::Board& board) {
  const auto called = std::chrono::steady_clock::now();
  const auto made = group.Duplicate();
  NoteHowLong(board, std::chrono::steady_clock::now() - called);
  if (!made.ok()) return false;
  const auto work = (*made)->Barrier();
  const base::Status status = work->Wait();
  NoteHowLong(board, *work->timings().completed - work->timings().enqueued);
  return status.ok();
}

/// Calls ops, two at a time, until one fails; then all that are in flight have to end.
void CallUntilAnOpFails(const Plan& plan, Group& group, ProcessGang::Board& board) {
  const bool guilty = group.rank().value() == plan.guilty;
  base::Random random(plan.seed);
  std::vector<std::unique_ptr<MixedCall>> calls;
  int splits = 0;
  // All have come, so that what fails from here on are ops.
  bool failed = !group.Barrier({.timeout = seconds(20)})->Wait().ok();
  if (guilty) ++board.arrived;
  while (!failed) {
    if (guilty && plan.fault == kNeverCalls && board.go.load() > 0) ::pause();
    if (plan.splits && ++splits < kSplitsMax) {
      failed = !SplitsWell(group, board);
      if (guilty) ++board.arrived;
      continue;
    }
    for (int i = 0; i < 2; ++i) {
      const OpKind kind = MixedCall::kKinds[random.Below(MixedCall::kKinds.size())];
      const size_t count = random.Below(3) == 0 ? 30'000 : 10;
      // Sums of bf16 go other ways between machines.
      const Dtype dtype = random.Below(2) == 0 ? Dtype::kBf16 : Dtype::kI32;
      calls.push_back(std::make_unique<MixedCall>(group, kind, count, dtype));
      if (guilty) ++board.arrived;
    }
    const base::Status status = calls[calls.size() - 2]->work().Wait();
    failed = !status.ok();
    if (!failed) {
      EXPECT_EQ(calls[calls.size() - 2]->Wrong(), "");
      if (calls.size() > 8 && calls[0]->work().done()) calls.erase(calls.begin());
    }
  }
  for (const auto& call : calls) {
    (void)call->work().Wait();
    const auto timings = call->work().timings();
    NoteHowLong(board, *timings.completed - timings.enqueued);
  }
  EXPECT_FALSE(group.Barrier()->Wait().ok());
}

void Inflict(const Plan& plan, ProcessGang& gang) {
  ProcessGang::WaitUntil(gang.board().arrived, 1);
  // On a machine so busy that an op runs out of its time before, that is the fault.
  const auto limit = std::chrono::steady_clock::now() + seconds(5);
  while (gang.board().arrived.load() < plan.after_ops && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  std::this_thread::sleep_for(  // tidy:allow sleep: when it happens is random
      std::chrono::microseconds(plan.after_us));
  if (plan.fault == kKill) gang.Signal(plan.guilty, SIGKILL);
  if (plan.fault == kStop) gang.Signal(plan.guilty, SIGSTOP);
  gang.board().go = 1;
}

/// Whether all ended as early as they must.
bool EndsInTime(const Plan& plan) {
  ProcessGang gang(
      plan.size, kTimeout,
      [&plan](Group& group, ProcessGang::Board& board) {
        std::atomic<bool> over{false};
        std::thread sufferer([&] {
          if (group.rank().value() == plan.guilty) Suffer(plan.fault, board, over);
        });
        CallUntilAnOpFails(plan, group, board);
        over = true;
        sufferer.join();
      },
      plan.kind.make(plan.seed, plan.size));
  Inflict(plan, gang);
  const auto since = std::chrono::steady_clock::now();
  for (int rank = 0; rank < plan.size; ++rank) {
    if (rank != plan.guilty || plan.fault >= kReset) {  // whose network fails is a survivor too
      EXPECT_EQ(gang.Reap(rank), 0) << "rank " << rank;
    }
  }
  return std::chrono::steady_clock::now() - since < kLatest + kExitTime &&
         base::Duration(gang.board().longest_ns.load()) < kLatest;
}

void RunPlan(const Plan& plan) {
  SCOPED_TRACE(plan.ToString());
  bool in_time = false;
  for (int attempt = 0; attempt < kAttempts && !in_time; ++attempt) {
    in_time = EndsInTime(plan);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_TRUE(in_time) << "a Work or a process ended too late, " << kAttempts << " times";
}

}  // namespace

void ExpectThatAllEndsInTime(const ProcessFaultKind& kind, const std::vector<uint64_t>& seeds) {
  const bool may_drop = MayDropAll();
  for (const uint64_t seed : seeds) {
    const Plan plan(kind, seed);
    if (plan.fault == kBlackhole && !may_drop) {
      std::printf("left out, since SO_ATTACH_FILTER is refused here: %s\n",
                  plan.ToString().c_str());
      continue;
    }
    RunPlan(plan);
    if (::testing::Test::HasFailure()) return;  // the first is the one to look at
  }
}

}  // namespace lockstep::collectives::testing
