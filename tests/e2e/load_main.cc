// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// load cpu | disk FILE | memory BYTES: keeps one resource of the machine busy until it is killed.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace lockstep {
namespace {

constexpr size_t kBlock = size_t{1} << 20;
constexpr size_t kFileBlocks = 64;

[[noreturn]] void BurnProcessor() {
  volatile bool go_on = true;
  while (go_on) {
  }
  ::_exit(0);
}

/// Writes 64 MiB and has them reach the disk, over and over.
int KeepDiskBusy(const char* path) {
  const std::vector<char> block(kBlock, 'x');
  const int fd = ::open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  for (;;) {
    for (size_t i = 0; i < kFileBlocks; ++i) {
      if (::pwrite(fd, block.data(), block.size(), static_cast<off_t>(i * kBlock)) < 0)
        return errno;
    }
    if (::fdatasync(fd) != 0) return errno;
  }
}

/// Takes so much memory, touches each page, and gives it back, over and over.
int TakeMemory(size_t bytes) {
  constexpr size_t kPage = 4096;
  for (;;) {
    void* memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return errno;
    auto* begin = static_cast<volatile char*>(memory);
    for (size_t at = 0; at < bytes; at += kPage) begin[at] = 1;
    ::munmap(memory, bytes);
  }
}

int Main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that dies leaves no load behind
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "cpu") BurnProcessor();
  if (what == "disk" && argc > 2) return KeepDiskBusy(argv[2]);
  if (what == "memory" && argc > 2) return TakeMemory(std::strtoull(argv[2], nullptr, 10));
  std::fprintf(stderr, "usage: load cpu | disk FILE | memory BYTES\n");
  return 64;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) { return lockstep::Main(argc, argv); }
