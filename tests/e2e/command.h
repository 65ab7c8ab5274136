// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_E2E_COMMAND_H_
#define LOCKSTEP_TESTS_E2E_COMMAND_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace lockstep::e2e {

/// A folder of its own for one test, with short paths (sockets live in it), removed at the end.
/// Everything that a Command of it starts carries the scratch's tag in its environment, so
/// leftovers can be found.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& content, mode_t mode = 0644) const;
  std::string Read(const std::string& name) const;
  /// HOME, XDG_RUNTIME_DIR, PATH and the tag.
  std::map<std::string, std::string> Environment() const;
  /// Command lines of the processes that still carry the tag, zombies left out.
  std::vector<std::string> Leftovers() const;
  /// Waits until Leftovers() is empty or the deadline has passed; returns what is left.
  std::vector<std::string> LeftoversAfter(std::chrono::milliseconds at_most) const;

 private:
  std::string path_;
  std::string tag_;
};

struct Outcome {
  /// Exit status, 128 + signal when killed, -1 when it did not end in time (and was killed).
  int status = -1;
  std::string out;
  std::string err;
  std::chrono::nanoseconds elapsed{0};
};

/// A program under test, its output collected by threads. Killed by the destructor if it still
/// runs.
class Command {
 public:
  struct Options {
    std::map<std::string, std::string> environment;
    std::string directory;
    std::string input;  // fed to stdin, then closed
    bool new_process_group = false;
    bool terminal = false;  // stdout and stderr are a terminal; what comes there is Outcome::out
    /// Put in front of the arguments: {"setpriv", "--reuid", "65534"}.
    std::vector<std::string> wrapper;
  };

  Command(const std::vector<std::string>& arguments, Options options);
  ~Command();
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  /// For the program's end and for that of its output, which whatever it left may hold open.
  Outcome Wait(std::chrono::milliseconds at_most);
  /// Waits until what was printed so far satisfies `seen`; false at the deadline.
  bool WaitForOutput(
      const std::function<bool(const std::string& out, const std::string& err)>& seen,
      std::chrono::milliseconds at_most);

 private:
  struct Shared;

  pid_t pid_ = -1;
  bool reaped_ = false;
  std::chrono::steady_clock::time_point started_;
  std::shared_ptr<Shared> shared_;  // with the threads that read, which may outlive us
  std::vector<std::thread> helpers_;
};

/// RunToEnd({lockstep, "run", "-np", "2", "true"}, scratch).
Outcome RunToEnd(const std::vector<std::string>& arguments, const Scratch& scratch,
                 std::chrono::milliseconds at_most = std::chrono::seconds(30));

/// The whole file, or as much as could be read; "" when there is none.
std::string ReadFile(const std::string& path);

/// Polls until `holds` does; false at the deadline. For facts of /proc, which no event announces.
bool Eventually(const std::function<bool()>& holds, std::chrono::milliseconds at_most);
/// 'R', 'S', 'T', 'Z' ...; '?' when there is no such process.
char ProcessState(pid_t pid);
std::vector<pid_t> ChildrenOf(pid_t pid);

/// The program under test, a data dependency of the test.
std::string LockstepPath();
/// A runfile by its workspace path: "examples/hello/hello".
std::string Runfile(const std::string& path);

}  // namespace lockstep::e2e

#endif  // LOCKSTEP_TESTS_E2E_COMMAND_H_
