// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_FAULT_RANK_H_
#define LOCKSTEP_COLLECTIVES_MPI_FAULT_RANK_H_

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "collectives/engine/queued_group.h"
#include "collectives/mpi/mpi_backend_maker.h"
#include "collectives/mpi/mpi_engine.h"
#include "runtime/base/check.h"

namespace lockstep::collectives::testing {

/// A rank that an mpirun started and to which something happens; or another one. What becomes of
/// its calls is a line of FOLDER/rank_R: name, state, milliseconds, value, error. Confined to the
/// process's main thread.
class FaultRank {
 public:
  /// Of the ops of its groups.
  static constexpr std::chrono::milliseconds kTimeout{600};

  FaultRank(std::string folder, std::shared_ptr<MpiEngine> engine)
      : folder_(std::move(folder)),
        rank_(engine->world_rank()),
        size_(engine->world_size()),
        engine_(std::move(engine)) {}

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// `size`: 0 = that of the world.
  base::Result<std::shared_ptr<Group>> Join(
      const std::string& name, bool check_calls = false, int size = 0,
      base::Duration join_timeout = std::chrono::seconds(20)) {
    std::vector<base::Rank> ranks;
    for (int rank = 0; rank < (size > 0 ? size : size_); ++rank) ranks.emplace_back(rank);
    return JoinOf(name, std::move(ranks), check_calls, join_timeout);
  }
  /// The group of `ranks`, in this order; this one is among them. Any thread.
  base::Result<std::shared_ptr<Group>> JoinOf(const std::string& name,
                                              std::vector<base::Rank> ranks, bool check_calls,
                                              base::Duration join_timeout) const {
    const auto self = std::find(ranks.begin(), ranks.end(), base::Rank(rank_)) - ranks.begin();
    QueuedGroup::Config config;
    config.spec = {.job = "faults",
                   .host = "here",
                   .name = name,
                   .rank = base::GroupRank(static_cast<int>(self)),
                   .world_ranks = std::move(ranks)};
    config.timeout = kTimeout;
    config.join_timeout = join_timeout;
    const auto maker =
        std::make_shared<MpiBackendMaker>(engine_, MpiBackend::Config{.check_calls = check_calls});
    ASSIGN_OR_RETURN(auto made, QueuedGroup::Create(std::move(config), maker));
    return std::shared_ptr<Group>(std::move(made));
  }
  /// The same where it must come about.
  std::shared_ptr<Group> MustJoin(const std::string& name, bool check_calls = false) {
    auto group = Join(name, check_calls);
    LOCKSTEP_CHECK(group.ok(), group.status().ToString().c_str());
    return std::move(group).value();
  }

  /// Joins no group any more. Where those that it had are dropped, its MPI ends here.
  void EndEngine() { engine_.reset(); }

  /// Writes it down at once: mpirun may end this process any time.
  void Note(const std::string& name, const base::Status& status, base::Duration took,
            float value = 0) const {
    std::FILE* const file = std::fopen(path(rank_).c_str(), "a");
    if (file == nullptr) std::abort();
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(took);
    std::fprintf(file, "%s\t%s\t%lld\t%g\t%s\n", name.c_str(),
                 std::string(base::CodeName(status.code())).c_str(),
                 static_cast<long long>(ms.count()), static_cast<double>(value),
                 status.ToString().c_str());
    std::fclose(file);
  }
  /// Times what `run` does, and notes it.
  void Tell(const std::string& name, const std::function<base::Status(float& value)>& run) const {
    const auto before = std::chrono::steady_clock::now();
    float value = 0;
    const base::Status status = run(value);
    Note(name, status, std::chrono::steady_clock::now() - before, value);
  }
  void TellOf(const std::string& name, Group& group, size_t count = 1,
              Reduction reduction = Reduction::kSum, base::Duration timeout = kTimeout) const {
    Tell(name, [&](float& value) {
      std::vector<float> data(count, static_cast<float>(rank_ + 1));
      const Buffer buffer{data.data(), count, Dtype::kF32};
      const base::Status status =
          group.AllReduce(buffer, buffer, reduction, {.timeout = timeout})->Wait();
      value = *std::min_element(data.begin(), data.end());
      return status;
    });
  }

  /// Until `rank` has told of so many things: after 20 s this process aborts.
  void AwaitWordOf(int rank, int lines = 1) const {
    Await(rank, "to tell of " + std::to_string(lines) + " things",
          [lines, told = 0](const std::string&) mutable { return ++told >= lines; });
  }
  /// Until it has told of `name`, likewise.
  void AwaitWordOf(int rank, const std::string& name) const {
    Await(rank, "to tell of \"" + name + "\"",
          [&name](const std::string& line) { return line.starts_with(name + "\t"); });
  }
  /// Until all have but this one and `but`.
  void AwaitWordOfOthers(const std::string& name, int but = -1) const {
    for (int other = 0; other < size_; ++other) {
      if (other != rank_ && other != but) AwaitWordOf(other, name);
    }
  }

 private:
  std::string path(int rank) const { return folder_ + "/rank_" + std::to_string(rank); }
  /// Until one of `rank`'s lines, from the first on, `is_it`. What it waits for and misses it says:
  /// a test that goes on without would test something else.
  void Await(int rank, const std::string& what,
             const std::function<bool(const std::string& line)>& is_it) const {
    for (int i = 0; i < 2000; ++i) {
      std::ifstream file(path(rank));
      auto look = is_it;  // with what it counts
      for (std::string line; std::getline(file, line);) {
        if (!file.eof() && look(line)) return;  // else it is being written
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::fprintf(stderr, "rank %d waited 20 s for rank %d %s\n", rank_, rank, what.c_str());
    std::abort();
  }

  const std::string folder_;
  const int rank_;
  const int size_;
  std::shared_ptr<MpiEngine> engine_;
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_MPI_FAULT_RANK_H_
