// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_TAKING_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_TAKING_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"
#include "runtime/proto/stacks.pb.h"

namespace lockstep::launcher {

/// The programs that read stacks. A path that is empty: it is not there.
struct StackTools {
  std::string helper;  // lockstep-stacks
  std::string py_spy;
  /// Where the helper was looked for: for whoever is to put it there.
  std::string helper_folder;
};
/// The helper beside this program, and py-spy in one of the folders of PATH. Any thread.
StackTools FindStackTools(const std::string& path_variable);

/// Reads the stacks of ranks of this machine, by processes that do it, and which are ended when
/// their time is over: whatever is wrong with the ranks, whoever asks neither waits nor grows. Of a
/// rank of which that brings nothing there is what /proc tells, and the reason. One for each time;
/// whoever asks owns it, and ends it by destroying it. Confined to the loop's thread.
class StackTaking {
 public:
  struct Config {
    StackTools tools;
    base::Duration limit = std::chrono::milliseconds(1500);
  };
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
  };
  struct Target {
    base::Rank rank;
    pid_t pid = 0;
  };
  /// Of each target that still is, in their order.
  using Done = std::function<void(std::vector<proto::RankStacks>)>;

  /// `done` is called once, on the loop's thread, never inside this call, a little after
  /// `config.limit` at the latest; it may destroy this.
  /// Blocks: to start at most kHelpersMax + kPythonMax processes, some milliseconds.
  StackTaking(const Config& config, Deps deps, const std::vector<Target>& targets, Done done);
  ~StackTaking();
  StackTaking(const StackTaking&) = delete;
  StackTaking& operator=(const StackTaking&) = delete;

  static constexpr size_t kHelpersMax = 4;  // which share the ranks
  static constexpr size_t kPythonMax = 8;   // ranks that py-spy is asked about

 private:
  struct Run;
  struct Subject {
    Target target;
    pid_t pid = 0;  // of its program
    bool is_python = false;
    std::optional<proto::ProcessStacks> seen;
    std::vector<proto::ThreadStack> python;
    std::string python_problem;
  };

  void Start();
  void AddHelpers(std::vector<std::unique_ptr<Run>>& runs) const;
  void AddPySpies(std::vector<std::unique_ptr<Run>>& runs);
  void OnReadable(Run& run);
  void OnLine(const std::string& line);
  void CheckAllDone();
  void Finish();
  proto::RankStacks Told(Subject& subject) const;

  const Config config_;
  const Deps deps_;
  std::vector<Subject> subjects_;
  Done done_;
  std::vector<std::unique_ptr<Run>> runs_;
  event::Registration timer_;
  event::Registration finish_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_STACKS_STACK_TAKING_H_
