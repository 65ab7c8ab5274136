// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/run_fixture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

namespace lockstep::e2e {

using namespace std::chrono_literals;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

int CountOf(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::vector<std::string> RunWords(std::vector<std::string> words) {
  std::vector<std::string> all = {LockstepPath(), "run"};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

std::vector<std::string> RunScript(std::vector<std::string> words, const std::string& script) {
  words.insert(words.end(), {"--", "/bin/sh", "-c", script});
  return RunWords(std::move(words));
}

void RunFixture::TearDown() { EXPECT_THAT(scratch_.LeftoversAfter(2s), ::testing::IsEmpty()); }

Outcome RunFixture::RunIt(std::vector<std::string> words) const {
  return RunToEnd(RunWords(std::move(words)), scratch_);
}

Outcome RunFixture::RunScriptIt(std::vector<std::string> words, const std::string& script) const {
  return RunToEnd(RunScript(std::move(words), script), scratch_);
}

Outcome RunFixture::Verb(std::vector<std::string> words) const {
  words.insert(words.begin(), LockstepPath());
  return RunToEnd(words, scratch_);
}

Command::Options RunFixture::Options() const {
  Command::Options options;
  options.environment = scratch_.Environment();
  options.directory = scratch_.path();
  return options;
}

void RunFixture::MakeGo(const std::string& name) const {
  const std::string path = scratch_.path() + "/" + name;
  ASSERT_EQ(::mkfifo(path.c_str(), 0666), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);  // whatever the umask
}

bool RunFixture::LetGo(const std::string& name) const {
  const std::string path = scratch_.path() + "/" + name;
  int fd = -1;
  // A blocking open would wait for ever for a rank that has died.
  Eventually([&] { return (fd = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0; },
             20s);
  if (fd < 0) return false;
  const bool written = ::write(fd, "go\n", 3) == 3;
  ::close(fd);
  return written;
}

std::string RunFixture::JobFolder(const std::string& name) const {
  std::error_code none;
  for (const auto& entry :
       std::filesystem::directory_iterator(scratch_.path() + "/.local/state/lockstep/jobs", none)) {
    if (entry.path().filename().string().starts_with(name + "-")) return entry.path();
  }
  return "";
}

}  // namespace lockstep::e2e
