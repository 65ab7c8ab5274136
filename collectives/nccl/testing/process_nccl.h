// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_NCCL_TESTING_PROCESS_NCCL_H_
#define LOCKSTEP_COLLECTIVES_NCCL_TESTING_PROCESS_NCCL_H_

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "collectives/host/shm/segment.h"
#include "collectives/nccl/nccl_group.h"
#include "collectives/nccl/segment_boards.h"
#include "collectives/nccl/testing/nccl_gang.h"
#include "collectives/testing/process_gang.h"
#include "runtime/base/check.h"
#include "runtime/base/unique_fd.h"

namespace lockstep::collectives::testing {

/// Memory of each group in a file of $TEST_TMPDIR that all processes of the test find.
class FileSegments final : public SegmentSource {
 public:
  /// `gang` tells the gangs of the test apart, whose groups have the same names.
  explicit FileSegments(int gang) : gang_(gang) {}
  base::Result<std::shared_ptr<Segment>> Open(const SegmentRequest& request,
                                              base::Duration) override {
    const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/board_" +
                             std::to_string(gang_) + "_" + std::to_string(request.group.value());
    const base::UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    LOCKSTEP_CHECK(fd.get() >= 0 && ftruncate(fd.get(), static_cast<off_t>(request.bytes)) == 0,
                   "a file for the board");
    return Segment::Map(fd, request.bytes);
  }

 private:
  const int gang_;
};

/// For the ranks of one ProcessGang, on the fake NCCL of a version, whose file is in the test's
/// `data`.
inline ProcessGang::NewGroup OverFakeNccl(const std::string& version) {
  static int gangs = 0;
  return [version,
          gang = ++gangs](QueuedGroup::Config config) -> base::Result<std::unique_ptr<Group>> {
    NcclRuntime::Config runtime;
    runtime.libraries = FakeGpu(version).Load();
    runtime.boards = std::make_shared<SegmentBoards>(std::make_shared<FileSegments>(gang));
    NcclGroup::Config its;
    its.device = config.spec.rank.value();
    its.spec = std::move(config.spec);
    its.timeout = config.timeout;
    its.join_timeout = config.join_timeout;
    ASSIGN_OR_RETURN(
        auto group,
        NcclGroup::Create(std::move(its), std::make_shared<NcclRuntime>(std::move(runtime))));
    return std::unique_ptr<Group>(std::move(group));
  };
}

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_NCCL_TESTING_PROCESS_NCCL_H_
