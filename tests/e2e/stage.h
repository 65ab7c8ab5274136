// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_E2E_STAGE_H_
#define LOCKSTEP_TESTS_E2E_STAGE_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/e2e/command.h"

namespace lockstep::e2e {

/// As whom `lockstep` runs, and whether it can hold its ranks by cgroups.
struct Setting {
  bool as_root;
  bool cgroups;
};
/// "UserWithoutCgroups"
std::string NameOf(const Setting& setting);

/// The folder of this process's cgroup (version 2); "" when there is none in sight.
std::string OwnCgroup();

/// Why nothing can be run in this wrapper, which mounts; "" when it can.
std::string WhyNotIn(const std::vector<std::string>& wrapper);

/// What it takes to run `lockstep` in a setting: as root it hides /sys/fs/cgroup in a mount
/// namespace, or leaves it; as a user it hands a cgroup to that user, or does not. The user has no
/// entry in the password file, as in many containers, and owns the scratch. One per test.
class Stage {
 public:
  static constexpr uid_t kUser = 64231;
  /// For tests of RLIMIT_NPROC: the kernel counts all processes of a uid, those of other tests too.
  static constexpr uid_t kLimitedUser = 64232;

  Stage(Setting setting, const Scratch& scratch, uid_t user = kUser);
  /// Removes the cgroup. Everything that ran in it must be gone.
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  /// Why this machine, or the user that the test runs as, cannot set it; "" when it is set.
  const std::string& why_not() const { return why_not_; }
  /// For Command::Options.
  const std::vector<std::string>& wrapper() const { return wrapper_; }
  /// The program, where the user can reach it.
  const std::string& lockstep() const { return lockstep_; }

 private:
  void Set(const Setting& setting, const Scratch& scratch);
  void BecomeUser(const Scratch& scratch);
  void HandOverCgroup(const Scratch& scratch);
  void HideCgroups();

  const uid_t user_;
  std::string why_not_;
  std::vector<std::string> wrapper_;
  std::string lockstep_;
  std::string cgroup_;  // "" = none was made
};

}  // namespace lockstep::e2e

#endif  // LOCKSTEP_TESTS_E2E_STAGE_H_
