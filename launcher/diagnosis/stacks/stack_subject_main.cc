// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A program with stacks that a test knows: `stack_subject WHAT`. Prints "ready" when it stands
// where it is to be found.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

namespace subject {

// Of what the compiler may not see through.
volatile int sink = 0;

void Say(const std::string& line) {
  const std::string text = line + "\n";
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(3);
}

__attribute__((noinline)) void LoopInF(int begin) {
  sink = begin;
  while (true) sink = sink + 1;  // the line that is looked for
}

__attribute__((noinline)) void SleepInG() {
  while (sink >= 0) ::pause();
}

__attribute__((noinline)) void GoDeep(int depth) {
  if (depth == 0) return SleepInG();
  GoDeep(depth - 1);
  sink = depth;
}

__attribute__((noinline)) void WaitForAChildThatSharesUs() {
  // The kernel lets nothing but a kill interrupt this wait.
  const pid_t child = ::vfork();  // tidy:allow process: the wait is the subject
  if (child == 0) {
    Say("child " + std::to_string(::getpid()));
    while (true) ::pause();
  }
  Say("through");
}

}  // namespace subject

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  std::vector<std::thread> threads;
  if (what == "threads") {
    for (int i = 0; i < 100; ++i) threads.emplace_back(subject::SleepInG);
  }
  if (what == "uninterruptible") threads.emplace_back(subject::LoopInF, 0);
  if (what == "undumpable") ::prctl(PR_SET_DUMPABLE, 0);
  subject::Say("ready");
  if (what == "loops") subject::LoopInF(argc);
  if (what == "deep") subject::GoDeep(200);
  if (what == "uninterruptible") subject::WaitForAChildThatSharesUs();
  subject::SleepInG();
}
