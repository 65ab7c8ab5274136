// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_RUNTIME_PROCESS_TEST_HOST_H_
#define LOCKSTEP_RUNTIME_PROCESS_TEST_HOST_H_

/// What tests of RealProcesses share: a runner with its loop, the troublemaker's output, folders,
/// processes to try things in. Confined to the test's thread.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/event/testing/run_until.h"
#include "runtime/process/proc_scan.h"
#include "runtime/process/processes.h"
#include "runtime/process/real_processes.h"

namespace lockstep::process::testing {

inline constexpr base::Duration kLongTime = std::chrono::seconds(30);
inline constexpr uid_t kNobody = 65534;
inline constexpr char kTroublemaker[] = "runtime/process/testing/troublemaker";

/// A folder for programs, of everybody, removed at the end.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/lockstep_process.XXXXXX";
    LOCKSTEP_CHECK(::mkdtemp(name) != nullptr, "mkdtemp");
    path_ = name;
    ::chmod(name, 0755);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& text, mode_t mode) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path;
  }

 private:
  std::string path_;
};

/// A pipe whose reading end collects what a child prints.
class Collected {
 public:
  explicit Collected(event::Loop& loop) {
    int ends[2];
    LOCKSTEP_CHECK(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "pipe2");
    read_.reset(ends[0]);
    write_.reset(ends[1]);
    watch_ =
        loop.Watch(read_.get(), {.readable = true}, [this](event::Readiness) { OnReadable(); });
  }
  int child_end() const { return write_.get(); }
  /// After the spawn: so that the end of the last writer shows.
  void CloseChildEnd() { write_.reset(); }
  const std::string& text() const { return text_; }
  bool at_end() const { return !watch_.active(); }
  bool Has(const std::string& line) const {
    return ("\n" + text_).find("\n" + line + "\n") != std::string::npos;
  }
  /// Those printed as "pid N".
  std::vector<pid_t> Pids() const {
    std::vector<pid_t> pids;
    std::istringstream lines(text_);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("pid ")) pids.push_back(std::atoi(line.c_str() + 4));
    }
    return pids;
  }

 private:
  void OnReadable() {
    char bytes[4096];
    const ssize_t size = ::read(read_.get(), bytes, sizeof(bytes));
    if (size > 0) {
      text_.append(bytes, static_cast<size_t>(size));
    } else if (size == 0) {
      watch_.reset();
    }
  }

  base::UniqueFd read_;
  base::UniqueFd write_;
  std::string text_;
  event::Registration watch_;
};

inline bool IsAlive(pid_t pid) {
  const std::optional<ProcStat> stat = ReadProcStat(pid);
  return stat && !stat->dead();
}

/// One runner with its loop, in this process or in a forked one.
class Host {
 public:
  explicit Host(RealProcesses::Config config)
      : loop_(event::EpollLoop::Create(clock_).value()),
        processes_(RealProcesses::Create(std::move(config), *loop_)) {}

  bool works() const { return processes_.ok(); }
  base::Status status() const { return processes_.status(); }
  event::Loop& loop() { return *loop_; }
  RealProcesses& processes() { return **processes_; }
  bool Wait(const std::function<bool()>& done) {
    return event::testing::RunUntil(*loop_, done, kLongTime);
  }

  std::unique_ptr<Process> Spawn(const std::string& program,
                                 const std::vector<std::string>& actions, Collected& output,
                                 const std::string& name = "rank-0") {
    SpawnSpec spec{.name = name, .arguments = {program}, .fds = {{output.child_end(), 1}}};
    spec.arguments.insert(spec.arguments.end(), actions.begin(), actions.end());
    auto process = processes().Spawn(spec, [](const Exit&) {});
    output.CloseChildEnd();
    if (!process.ok()) {
      ADD_FAILURE() << process.status();
      return nullptr;
    }
    return std::move(process).value();
  }
  base::Status KillAll(Process& process, base::Duration limit = kLongTime) {
    std::optional<base::Status> gone;
    process.KillAll(limit, [&](const base::Status& status) { gone = status; });
    if (!Wait([&] { return gone.has_value(); }))
      return base::DeadlineExceededError("the test waited in vain");
    return *gone;
  }

 private:
  base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  base::Result<std::unique_ptr<RealProcesses>> processes_;
};

inline void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.flush();
  EXPECT_TRUE(file.good()) << path;
}

/// As many as the spec is for, named rank-0, rank-1, ..., whose ends nobody wants to know.
inline std::vector<SpawnRequest> Requests(int count, SpawnSpec spec) {
  std::vector<SpawnRequest> requests;
  for (int i = 0; i < count; ++i) {
    spec.name = "rank-" + std::to_string(i);
    requests.push_back({spec, [](const Exit&) {}});
  }
  return requests;
}

/// Runs in a process of its own, which may change its user and its limits. Returns what `body`
/// does.
inline std::string InAChild(const std::function<std::string()>& body) {
  int report[2];
  LOCKSTEP_CHECK(::pipe2(report, O_CLOEXEC) == 0, "pipe2");
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = body();
    if (::write(report[1], text.data(), text.size()) < 0) ::_exit(3);
    ::_exit(0);
  }
  ::close(report[1]);
  std::string text;
  char bytes[512];
  for (ssize_t size = 0; (size = ::read(report[0], bytes, sizeof(bytes))) > 0;) {
    text.append(bytes, static_cast<size_t>(size));
  }
  ::close(report[0]);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return text;
}

}  // namespace lockstep::process::testing

#endif  // LOCKSTEP_RUNTIME_PROCESS_TEST_HOST_H_
