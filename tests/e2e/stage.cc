// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/stage.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace lockstep::e2e {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Puts the words of a small script before the program: `sh -c 'SCRIPT; exec "$@"' sh`.
std::vector<std::string> ShellThenExec(const std::string& script) {
  return {"/bin/sh", "-c", script + " && exec \"$@\"", "sh"};
}

void Append(const std::vector<std::string>& more, std::vector<std::string>& words) {
  words.insert(words.end(), more.begin(), more.end());
}

/// With those below it, which an agent that was killed has left; their files go with them.
bool RemoveCgroups(const std::string& folder) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    if (entry.is_directory(none)) RemoveCgroups(entry.path());
  }
  return ::rmdir(folder.c_str()) == 0;
}

}  // namespace

std::string NameOf(const Setting& setting) {
  return std::string(setting.as_root ? "Root" : "User") +
         (setting.cgroups ? "WithCgroups" : "WithoutCgroups");
}

std::string OwnCgroup() {
  std::string path;
  std::ifstream memberships("/proc/self/cgroup");
  for (std::string line; std::getline(memberships, line);) {
    if (line.starts_with("0::")) path = line.substr(3);
  }
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    const std::string below = root == "/" ? path : path.substr(std::min(root.size(), path.size()));
    const std::string folder = point + (below == "/" ? "" : below);
    return fs::exists(folder + "/cgroup.procs") ? folder : "";
  }
  return "";
}

std::string WhyNotIn(const std::vector<std::string>& wrapper) {
  Command probe({"/bin/true"}, {.environment = {{"PATH", "/usr/bin:/bin"}}, .wrapper = wrapper});
  const Outcome outcome = probe.Wait(10s);
  if (outcome.status == 0) return "";
  return "cannot mount in a namespace of its own: " + outcome.err;
}

Stage::Stage(Setting setting, const Scratch& scratch, uid_t user)
    : user_(user), lockstep_(LockstepPath()) {
  Set(setting, scratch);
}

Stage::~Stage() {
  // The kernel counts a process in for a moment after it was reaped.
  if (!cgroup_.empty()) Eventually([this] { return RemoveCgroups(cgroup_); }, 2s);
}

void Stage::Set(const Setting& setting, const Scratch& scratch) {
  if (::getuid() != 0) {
    if (setting.as_root || setting.cgroups) why_not_ = "needs root";
    return;  // we are the user, and nobody has given us a cgroup
  }
  if (setting.as_root) {
    if (!setting.cgroups) HideCgroups();
    if (setting.cgroups && (OwnCgroup().empty() || ::access(OwnCgroup().c_str(), W_OK) != 0))
      why_not_ = "no cgroup2 to write to";
    return;
  }
  if (setting.cgroups) HandOverCgroup(scratch);
  BecomeUser(scratch);
}

void Stage::HideCgroups() {
  wrapper_ = {"/usr/bin/unshare", "--mount"};
  Append(ShellThenExec("mount -t tmpfs -o ro none /sys/fs/cgroup"), wrapper_);
  why_not_ = WhyNotIn(wrapper_);
}

void Stage::HandOverCgroup(const Scratch& scratch) {
  const std::string own = OwnCgroup();
  cgroup_ = own + "/" + fs::path(scratch.path()).filename().string();
  if (own.empty() || ::mkdir(cgroup_.c_str(), 0755) != 0) {
    why_not_ = "cannot make a cgroup for the user: " +
               std::string(own.empty() ? "no cgroup2 is mounted" : std::strerror(errno));
    cgroup_.clear();
    return;
  }
  for (const char* file : {"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"}) {
    if (::chown((cgroup_ + file).c_str(), user_, user_) != 0)
      why_not_ = "cannot hand over a cgroup";
  }
  Append(ShellThenExec("echo $$ >" + cgroup_ + "/cgroup.procs"), wrapper_);
}

void Stage::BecomeUser(const Scratch& scratch) {
  const std::string user = std::to_string(user_);
  Append({"/usr/bin/setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups"}, wrapper_);
  lockstep_ = scratch.path() + "/lockstep-copy";
  std::error_code error;
  fs::copy_file(LockstepPath(), lockstep_, error);
  if (error || ::chown(scratch.path().c_str(), user_, user_) != 0)
    why_not_ = "cannot hand over the scratch";
}

}  // namespace lockstep::e2e
