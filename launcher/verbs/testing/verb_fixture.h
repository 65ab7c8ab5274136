// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_VERBS_TESTING_VERB_FIXTURE_H_
#define LOCKSTEP_LAUNCHER_VERBS_TESTING_VERB_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "launcher/agent/control_server.h"
#include "launcher/jobs/job_directory.h"
#include "launcher/verbs/verb_context.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"
#include "runtime/event/epoll_loop.h"
#include "runtime/proto/control.pb.h"
#include "runtime/storage/file_system.h"

namespace lockstep::launcher {

/// What a verb has printed, readable while it runs.
class CapturedOutput {
 public:
  CapturedOutput() : file_(std::tmpfile()) {}
  ~CapturedOutput() { std::fclose(file_); }
  CapturedOutput(const CapturedOutput&) = delete;
  CapturedOutput& operator=(const CapturedOutput&) = delete;

  std::FILE* file() { return file_; }
  std::string text() const;

 private:
  std::FILE* const file_;
};

/// Answers control requests as an agent does, on a thread of its own, with what the test has put
/// here. The callbacks run on that thread.
class FakeAgent final : public ControlTarget {
 public:
  explicit FakeAgent(const std::string& socket_path,
                     std::function<void(const proto::StopRequest&)> on_stop = nullptr);
  ~FakeAgent() override;

  // Set before the first request.
  proto::StatusReply reply;
  proto::StopReply stop_reply;
  std::function<proto::ControlReply(const proto::StacksRequest&)> stacks;
  base::Status refused;       // not OK: the answer to everything
  base::Status then_refused;  // not OK: the answer to all status requests but the first

  void Answer(const proto::ControlRequest& request, Reply reply_to) override;

 private:
  bool has_told_ = false;
  const std::function<void(const proto::StopRequest&)> on_stop_;
  const base::RealClock clock_;
  std::unique_ptr<event::EpollLoop> loop_;
  std::thread thread_;
};

/// A process that sleeps, with this LOCKSTEP_MARK in its environment. Killed and reaped at the end.
class MarkedProcess {
 public:
  explicit MarkedProcess(const std::string& mark);
  ~MarkedProcess();
  MarkedProcess(const MarkedProcess&) = delete;
  MarkedProcess& operator=(const MarkedProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool Lives();
  /// Waits for its end, at most 10 s. Returns the signal that it died of; 0 when it still lives.
  int AwaitSignal();

 private:
  pid_t pid_ = -1;
  int killed_by_ = 0;  // once reaped
};

/// A jobs root and a socket directory of the test's own, and a context that points there.
class VerbTest : public ::testing::Test {
 protected:
  VerbTest();
  ~VerbTest() override;

  /// Makes a job whose front is this process.
  JobDirectory MakeLiveJob(const std::string& name, proto::JobState state = {});
  /// One whose front and agent are dead, and never said how it ended.
  JobDirectory MakeDeadJob(const std::string& name, proto::JobState state = {});
  JobDirectory MakeEndedJob(const std::string& name, int exit_code, proto::JobState state = {});
  JobEntry Entry(const JobDirectory& job);

  std::string ControlSocket(const JobDirectory& job) const;
  /// As an agent that was killed leaves it, or one that has not called listen() yet.
  void MakeSocketFile(const std::string& path);

  const HostIdentity here_ = ThisHost();
  const base::RealClock clock_;
  storage::RealFileSystem files_;
  CapturedOutput out_;
  CapturedOutput err_;
  std::string folder_;  // holds both; its path is short, as those of sockets must be
  const VerbContext context_;

 private:
  JobDirectory Make(const std::string& name, proto::JobState state);
  VerbContext MakeContext();

  proto::ProcessIdentity self_;
  uint64_t seed_ = 0;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_VERBS_TESTING_VERB_FIXTURE_H_
