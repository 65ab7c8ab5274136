// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_HOST_MAKERS_H_
#define LOCKSTEP_COLLECTIVES_TESTING_HOST_MAKERS_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "collectives/engine/backend.h"
#include "collectives/host/tcp/local_tcp.h"
#include "collectives/host/wide/local_wide.h"
#include "collectives/testing/thread_gang.h"

namespace lockstep::collectives::testing {

/// A backend in main memory, for tests of what is built upon groups and must hold over each:
///
///   INSTANTIATE_TEST_SUITE_P(Over, AgreementTest, ::testing::ValuesIn(HostMakers()),
///                            HostMakerName);
struct HostMaker {
  std::string name;
  std::function<std::shared_ptr<BackendMaker>()> make;

  friend std::ostream& operator<<(std::ostream& out, const HostMaker& maker) {
    return out << maker.name;
  }
};

/// Those there are; of the wide one, ranks take turns on two machines.
inline std::vector<HostMaker> HostMakers() {
  return {{"Shm", ThreadGang::InSharedMemory},
          {"Tcp", [] { return LocalTcpMaker(); }},
          {"Wide", [] { return std::make_shared<LocalWideMaker>(std::vector<int>{0, 1, 0, 1}); }}};
}

inline std::string HostMakerName(const ::testing::TestParamInfo<HostMaker>& info) {
  return info.param.name;
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_HOST_MAKERS_H_
