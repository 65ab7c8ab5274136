// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_TESTING_FOOTPRINT_H_
#define LOCKSTEP_COLLECTIVES_TESTING_FOOTPRINT_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace lockstep::collectives::testing {

/// What this process holds, as /proc shows it: to be compared before and after. A value.
struct Footprint {
  int64_t descriptors = 0;
  int64_t mappings = 0;
  int64_t threads = 0;
  int64_t resident_kib = 0;
  int64_t files_in_dev_shm = 0;  // named lockstep*

  static Footprint Read() {
    Footprint now;
    now.descriptors = Entries("/proc/self/fd");
    now.threads = Entries("/proc/self/task");
    now.files_in_dev_shm = Entries("/dev/shm", "lockstep");
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) ++now.mappings;
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) std::istringstream(line.substr(6)) >> now.resident_kib;
    }
    return now;
  }

  std::string ToString() const {
    return std::to_string(descriptors) + " descriptors, " + std::to_string(mappings) +
           " mappings, " + std::to_string(threads) + " threads, " + std::to_string(resident_kib) +
           " KiB resident, " + std::to_string(files_in_dev_shm) + " files in /dev/shm";
  }

 private:
  static int64_t Entries(const char* folder, const char* prefix = "") {
    int64_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      count += entry.path().filename().string().starts_with(prefix) ? 1 : 0;
    return count;
  }
};

}  // namespace lockstep::collectives::testing

#endif  // LOCKSTEP_COLLECTIVES_TESTING_FOOTPRINT_H_
