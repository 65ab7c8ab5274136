// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/exec_fixture.h"

#include <signal.h>

#include <filesystem>
#include <system_error>
#include <utility>

namespace lockstep::e2e {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

void Append(const std::vector<std::string>& more, std::vector<std::string>& words) {
  words.insert(words.end(), more.begin(), more.end());
}

std::vector<fs::path> PathsIn(const std::string& folder) {
  std::vector<fs::path> paths;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) paths.push_back(entry.path());
  return paths;
}

proto::JobState StateIn(const std::string& folder) {
  proto::JobState state;
  for (const fs::path& path : PathsIn(folder)) {
    if (path.extension() == ".pb") state.ParseFromString(ReadFile(path));
  }
  return state;
}

}  // namespace

void ExecFixture::TearDown() {
  scratch_.LeftoversAfter(10s);
  RunFixture::TearDown();
}

std::vector<std::string> ExecFixture::Exec(const std::vector<std::string>& words) {
  std::vector<std::string> all = {LockstepPath(), "exec"};
  Append(words, all);
  return all;
}

std::vector<std::string> ExecFixture::ExecRank(const std::string& mode) {
  std::vector<std::string> words = {"--", Runfile("tests/e2e/exec_rank")};
  if (!mode.empty()) words.push_back(mode);
  return Exec(words);
}

std::vector<std::string> ExecFixture::Loop(int ranks, const std::vector<std::string>& words) {
  const std::string n = std::to_string(ranks);
  const std::string script = "r=0; while [ $r -lt " + n + " ]; do RANK=$r WORLD_SIZE=" + n +
                             " LOCAL_RANK=$r LOCAL_WORLD_SIZE=" + n +
                             " \"$@\" & p=\"$p $!\"; r=$((r+1)); done; s=0; for i in $p; do wait "
                             "$i || s=$?; done; exit $s";
  std::vector<std::string> all = {"/bin/sh", "-c", script, "loop"};
  Append(words, all);
  return all;
}

std::vector<std::string> ExecFixture::Mpirun(const std::string& launcher, int ranks,
                                             const std::vector<std::string>& words) {
  std::vector<std::string> all = {"mpirun." + launcher};
  if (launcher == "openmpi") all.push_back("--oversubscribe");
  Append({"-np", std::to_string(ranks)}, all);
  Append(words, all);
  return all;
}

Command::Options ExecFixture::ExecOptions() const {
  Command::Options options = Options();
  options.environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
  options.environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  options.environment["TMPDIR"] = scratch_.path();
  return options;
}

Outcome ExecFixture::RunWords(const std::vector<std::string>& words) const {
  return Command(words, ExecOptions()).Wait(60s);
}

std::vector<std::string> ExecFixture::JobFolders() const {
  std::vector<std::string> folders;
  for (const fs::path& path : PathsIn(scratch_.path() + "/.local/state/lockstep/jobs")) {
    if (!path.filename().string().starts_with('.')) folders.push_back(path);
  }
  return folders;
}

proto::JobState ExecFixture::State() const {
  const std::vector<std::string> folders = JobFolders();
  return folders.size() == 1 ? StateIn(folders.front()) : proto::JobState();
}

pid_t ExecFixture::AgentOf(const std::string& folder) const {
  return static_cast<pid_t>(StateIn(folder).agent().pid());
}

bool ExecFixture::HasEndedAfter(std::chrono::milliseconds at_most) const {
  return Eventually(
      [this] {
        const proto::JobState state = State();
        const auto agent = static_cast<pid_t>(state.agent().pid());
        return state.phase() == proto::JOB_PHASE_ENDED && ProcessState(agent) == '?';
      },
      at_most);
}

std::vector<std::string> ExecFixture::WhatIsLeft() const {
  std::vector<std::string> left;
  for (const char* folder : {"/lockstep", "/.local/state/lockstep/jobs/.unfinished"}) {
    for (const fs::path& path : PathsIn(scratch_.path() + folder)) {
      // Is the user's, for all his jobs.
      if (path.filename() != "exec-secret") left.push_back(path.filename());
    }
  }
  return left;
}

bool AllSaidTheirPlace(const std::string& out, int count) {
  for (int rank = 0; rank < count; ++rank) {
    const std::string place = std::to_string(rank) + " of " + std::to_string(count);
    std::string line = "rank ";
    line.append(place).append(", local ").append(place);
    if (CountOf(out, line) != 1) return false;
  }
  return true;
}

std::string SumLine(const std::string& word, int ranks) {
  return word + " " + std::to_string(ranks * (ranks + 1) / 2) + "\n";
}

std::string JobOf(const std::string& out) {
  const size_t begin = out.find(", job ");
  if (begin == std::string::npos) return "";
  return out.substr(begin + 6, out.find(',', begin + 6) - begin - 6);
}

}  // namespace lockstep::e2e
