// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_TESTS_MPI_SHIM_MPI_FIXTURE_H_
#define LOCKSTEP_TESTS_MPI_SHIM_MPI_FIXTURE_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "collectives/diagnosis/diagnose.h"
#include "collectives/diagnosis/ring_evidence.h"
#include "runtime/process/process_look.h"
#include "tests/shims/ring_fixture.h"

namespace lockstep::launcher {

struct Mpi {
  std::string name;
  std::string family;  // whose mpi.h its programs are compiled with
  std::vector<std::string> mpirun;
  std::vector<std::string> environment;
};

inline void PrintTo(const Mpi& mpi, std::ostream* out) { *out << mpi.name; }

/// Debian's two and, where tools/setup_extras has put one, Open MPI 5, with programs of 4.1.
inline std::vector<Mpi> Mpis() {
  std::vector<Mpi> mpis = {
      {"openmpi", "openmpi", {"mpirun.openmpi", "--oversubscribe", "--mca", "btl", "vader,self"}},
      {"mpich", "mpich", {"mpirun.mpich"}},
  };
  const char* const place = getenv("OPENMPI5_PLACE");
  std::string folder;
  std::ifstream(place != nullptr ? place : "") >> folder;
  if (!folder.empty())  // without a home it does not start
    mpis.push_back({"openmpi5",
                    "openmpi",
                    {folder + "/bin/mpirun", "--oversubscribe"},
                    {"LD_LIBRARY_PATH=" + folder + "/lib", "PATH=" + folder + "/bin:/usr/bin:/bin",
                     "HOME=/tmp"}});
  return mpis;
}

/// Ranks of programs over an MPI, under its own mpirun, with the shim preloaded and an agent's
/// rings. Confined to the test's thread.
class MpiShimTest : public RingFixture, public testing::WithParamInterface<Mpi> {
 protected:
  static std::string Shim() { return Runfile("collectives/mpi/shim/liblockstep_mpi.so"); }
  static std::string File(const std::string& name) { return Runfile("tests/mpi_shim/" + name); }
  static std::string Rank() { return File("shim_rank_" + GetParam().family); }

  void Launch(const std::vector<std::string>& words) {
    std::vector<std::string> command = {Rank()};
    command.insert(command.end(), words.begin(), words.end());
    LaunchProgram(command, Shim());
  }

  void LaunchProgram(const std::vector<std::string>& words, const std::string& preload) {
    // As of a launcher that gives each rank a cookie of its own.
    const std::string wrapper =
        "rank=$OMPI_COMM_WORLD_RANK$PMI_RANK; eval \"LOCKSTEP_COOKIE=\\$COOKIE_$rank\"; "
        "export LOCKSTEP_COOKIE; LD_PRELOAD=\"" +
        preload + "\" exec \"$0\" \"$@\"";
    std::vector<std::string> command = GetParam().mpirun;
    command.insert(command.end(), {"-np", std::to_string(size_), "sh", "-c", wrapper});
    command.insert(command.end(), words.begin(), words.end());
    std::vector<std::string> block = {"OMPI_ALLOW_RUN_AS_ROOT=1",
                                      "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "TMPDIR=/tmp"};
    if (!config.socket_path.empty()) block.push_back("LOCKSTEP_SOCKET=" + config.socket_path);
    for (int rank = 0; rank < size_; ++rank)
      block.push_back("COOKIE_" + std::to_string(rank) + "=" + cookies_[rank]);
    block.insert(block.end(), GetParam().environment.begin(), GetParam().environment.end());
    for (const char* const name : {"PATH", "HOME", "USER"}) {
      if (const char* const value = getenv(name))
        block.push_back(name + ("=" + std::string(value)));
    }
    // Into a file: hydra dies of SIGPIPE on a pipe now and then.
    char name[] = "/tmp/mpi_shim_testXXXXXX";
    close(mkstemp(name));
    output_ = name;
    mpirun_ = Spawn(command, block, POSIX_SPAWN_SETSID);
  }

  /// mpirun's exit status.
  int Await() {
    int status = -1;
    const bool ended = Within(60, [&] { return waitpid(mpirun_, &status, WNOHANG) == mpirun_; });
    EXPECT_TRUE(ended) << "mpirun does not end";
    if (ended) mpirun_ = -1;
    return status;
  }

  /// Ranks first, the stopped too: an mpirun that is killed may leave them.
  void EndAll() override {
    if (!output_.empty()) std::filesystem::remove(output_);
    if (mpirun_ <= 0) return;
    for (int rank = 0; rank < size_; ++rank) {
      const int64_t pid = Read(rank).head.pid;
      if (pid > 0) kill(static_cast<pid_t>(pid), SIGKILL);
    }
    int status = 0;
    if (!Within(10, [&] { return waitpid(mpirun_, &status, WNOHANG) == mpirun_; })) {
      kill(-mpirun_, SIGKILL);
      waitpid(mpirun_, &status, 0);
    }
    mpirun_ = -1;
  }

  collectives::Evidence Look() const {
    collectives::Evidence evidence;
    for (int rank = 0; rank < kSize; ++rank) {
      const collectives::RingContent ring = Read(rank);
      collectives::SeenRank seen = collectives::FromRing(ring, MonotonicNs());
      seen.process.state = StateOf(
          process::LookAtProcess(static_cast<pid_t>(ring.head.pid), ring.head.process_start_ticks));
      evidence.ranks.push_back(std::move(seen));
    }
    return evidence;
  }

  /// Once all have called an op with that number in a group of all.
  collectives::Finding DiagnoseOnceCalled(uint64_t seq, const std::vector<int>& ranks) {
    EXPECT_TRUE(Within(60, [&] {
      for (const int rank : ranks) {
        bool called = false;
        for (const lockstep_record& record : Read(rank).records)
          called = called || (record.seq >= seq && record.group_size == kSize);
        if (!called) return false;
      }
      return true;
    })) << Output();
    return collectives::Diagnose(Look());
  }

  pid_t mpirun_ = -1;
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_TESTS_MPI_SHIM_MPI_FIXTURE_H_
