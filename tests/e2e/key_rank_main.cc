// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A rank that asks its agent for the key of its round's groups over TCP, and writes it to
// FOLDER/RANK: key_rank FOLDER. Then it says "up RANK PID AGENT", and runs until it is ended.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "runtime/attach/attach_client.h"
#include "runtime/attach/attach_wire.h"

namespace {

constexpr uint32_t kTimeoutMs = 10'000;

int Fail(const char* doing, const char* why) {
  std::fprintf(stderr, "key_rank: %s: %s\n", doing, why);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const socket_path = std::getenv("LOCKSTEP_SOCKET");
  const char* const cookie = std::getenv("LOCKSTEP_COOKIE");
  if (argc != 2 || socket_path == nullptr || cookie == nullptr) return Fail("starting", "no rank");
  static lockstep_attach_world world;
  static lockstep_attach_network network;
  lockstep_attach* client = nullptr;
  lockstep_attach_error error{};
  int ring = -1;
  if (lockstep_attach_open(socket_path, cookie, kTimeoutMs, &client, &world, &ring, &error) !=
      LOCKSTEP_ATTACH_OK) {
    return Fail("attaching", error.text);
  }
  if (lockstep_attach_get_network(client, kTimeoutMs, &network, &error) != LOCKSTEP_ATTACH_OK)
    return Fail("asking for the key", error.text);
  const std::string path = std::string(argv[1]) + "/" + std::to_string(world.rank);
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return Fail("opening", path.c_str());
  const size_t written = std::fwrite(network.key, 1, sizeof network.key, file);
  if (std::fclose(file) != 0 || written != sizeof network.key) return Fail("writing", path.c_str());
  std::printf("up %d %d %d\n", world.rank, static_cast<int>(::getpid()),
              static_cast<int>(::getppid()));
  std::fflush(stdout);
  for (;;) ::pause();
}
