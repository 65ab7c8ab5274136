// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_PLACEMENT_SSH_LOGIN_H_
#define LOCKSTEP_LAUNCHER_PLACEMENT_SSH_LOGIN_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/event/loop.h"
#include "runtime/process/processes.h"

namespace lockstep::launcher {

/// One running ssh and the three pipes to it: lines come in, bytes and files go out, neither ever
/// waits. Owned by whoever logs in; confined to the loop's thread. Destroying it kills ssh. The
/// process ignores SIGPIPE.
class SshLogin {
 public:
  struct Config {
    std::string name;                      // for messages: "ssh-3"
    std::vector<std::string> arguments;    // ["ssh", ...]
    std::vector<std::string> environment;  // of ssh: "KEY=VALUE"
  };
  /// Called from the loop, never inside a call; none may destroy the login.
  struct Handlers {
    std::function<void(std::string_view line)> on_line;        // of standard output
    std::function<void(std::string_view line)> on_error_line;  // of standard error
    /// ssh has ended, and every line of it was told. The last call.
    std::function<void(const process::Exit& exit)> on_ended;
  };
  struct Deps {
    event::Loop& loop;
    process::Processes& processes;
  };

  /// Longer lines are cut.
  static constexpr size_t kLineBytesMax = 4096;

  /// Blocks: as Processes::Spawn. Errors: as that; errno's code for the pipes.
  static base::Result<std::unique_ptr<SshLogin>> Start(Config config, Handlers handlers, Deps deps);
  SshLogin(const SshLogin&) = delete;
  SshLogin& operator=(const SshLogin&) = delete;

  /// Queues bytes; at most some hundred kilobytes are ever queued, by the caller's promise. An ssh
  /// that is gone does not take them, and on_ended follows.
  void Write(std::string bytes);
  /// Sends so many bytes of the regular file behind `fd`, which outlives this, after what is
  /// queued; nothing else may be written before they have gone. Read piece by piece, as ssh takes
  /// them. A file that cannot be read, or is shorter, ends what we send: the other side sees that.
  void WriteFile(int fd, uint64_t bytes);
  /// Nothing more comes: ends ssh's standard input once everything is written.
  void CloseInput();
  /// How much of all that ssh has taken.
  uint64_t taken_bytes() const { return taken_bytes_; }

 private:
  /// Bytes to whole lines.
  struct LineReader {
    base::UniqueFd fd;
    event::Registration watch;
    std::string line;
  };

  SshLogin(Handlers handlers, event::Loop& loop) : handlers_(std::move(handlers)), loop_(loop) {}

  void WatchAll();
  void Flush();
  bool FillFromFile();
  void EndInput();
  void Read(LineReader& reader, const std::function<void(std::string_view)>& tell);
  void OnExited(const process::Exit& exit);

  const Handlers handlers_;
  event::Loop& loop_;
  base::UniqueFd input_;
  event::Registration input_watch_;
  std::string queued_;
  uint64_t taken_bytes_ = 0;
  int file_ = -1;
  off_t file_at_ = 0;
  uint64_t file_left_ = 0;
  bool close_input_ = false;
  LineReader out_;
  LineReader err_;
  std::unique_ptr<process::Process> process_;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_PLACEMENT_SSH_LOGIN_H_
