// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_FOOTPRINT_H_
#define LOCKSTEP_COLLECTIVES_TESTING_FOOTPRINT_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

namespace lockstep::collectives::testing {

/// What this process holds, as /proc shows it: to be compared before and after. A value.
struct Footprint {
  int64_t descriptors = 0;
  int64_t mappings = 0;
  int64_t threads = 0;
  int64_t resident_kib = 0;
  /// Files named lockstep*. Other processes may have some there: it is those that came and stay
  /// which somebody has left.
  std::set<std::string> files_in_dev_shm;

  /// Once threads and connections that were about to end have: when nothing has changed for 100 ms,
  /// at the latest after 20 s.
  static Footprint Settled() {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    Footprint now = Read();
    auto since = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() < limit &&
           std::chrono::steady_clock::now() - since < std::chrono::milliseconds(100)) {
      std::this_thread::yield();
      Footprint next = Read();
      if (next.descriptors != now.descriptors || next.threads != now.threads)
        since = std::chrono::steady_clock::now();
      now = std::move(next);
    }
    return now;
  }

  static Footprint Read() {
    Footprint now;
    now.descriptors = Entries("/proc/self/fd");
    now.threads = Entries("/proc/self/task");
    now.files_in_dev_shm = FilesInDevShm();
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) ++now.mappings;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) std::istringstream(line.substr(6)) >> now.resident_kib;
    }
    return now;
  }

  /// What there is that was not there before; "" = nothing. The allocator keeps some of what was
  /// freed, and the thread library some stacks.
  std::string ExcessOver(const Footprint& before) const {
    std::string excess;
    const auto compare = [&excess](const char* what, int64_t had, int64_t has) {
      if (has > had) excess += std::to_string(has - had) + " " + what + " too many; ";
    };
    compare("descriptors", before.descriptors, descriptors);
    compare("threads", before.threads, threads);
    for (const std::string& name : files_in_dev_shm) {
      if (!before.files_in_dev_shm.contains(name)) excess += "/dev/shm/" + name + "; ";
    }
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    compare("mappings", before.mappings + kMappingsOfOthers, mappings);
    compare("KiB", before.resident_kib + kResidentKibOfOthers, resident_kib);
#endif
    return excess;
  }

  /// Waits until nothing of what was not there before is left; returns what is after 20 s.
  static std::string ExcessLeft(const Footprint& before) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::string excess = Read().ExcessOver(before);
    while (!excess.empty() && std::chrono::steady_clock::now() < limit) {
      std::this_thread::yield();
      excess = Read().ExcessOver(before);
    }
    return excess;
  }

  std::string ToString() const {
    return std::to_string(descriptors) + " descriptors, " + std::to_string(mappings) +
           " mappings, " + std::to_string(threads) + " threads, " + std::to_string(resident_kib) +
           " KiB resident, " + std::to_string(files_in_dev_shm.size()) + " files in /dev/shm";
  }

 private:
  static constexpr int64_t kMappingsOfOthers = 16;
  static constexpr int64_t kResidentKibOfOthers = 8 << 10;

  static int64_t Entries(const char* folder) {
    const std::filesystem::directory_iterator entries(folder);
    return std::distance(begin(entries), end(entries));
  }
  static std::set<std::string> FilesInDevShm() {
    std::set<std::string> names;
    std::error_code gone;  // of a file that another process removes meanwhile
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("lockstep") && entry.is_regular_file(gone)) names.insert(name);
    }
    return names;
  }
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_FOOTPRINT_H_
