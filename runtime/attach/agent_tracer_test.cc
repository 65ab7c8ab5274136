// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/attach/agent_tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "runtime/base/testing/named_tracers.h"
#include "runtime/base/unique_fd.h"

namespace lockstep {
namespace {

using base::testing::NamedTracers;
using ::testing::IsEmpty;

sockaddr_un Address() {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::snprintf(address.sun_path, sizeof address.sun_path, "/tmp/lstracer%d", ::getpid());
  return address;
}

base::UniqueFd Listen(const sockaddr_un& address) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd.get(), 8) != 0)
    fd.reset();
  return fd;
}

base::UniqueFd Connect(const sockaddr_un& address) {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fd.reset();
  return fd;
}

/// Whom this process names when who is at that address is its agent. Once in a thread.
std::vector<int64_t> Named(NamedTracers& tracers, const sockaddr_un& address) {
  const base::UniqueFd socket = Connect(address);
  EXPECT_TRUE(socket.valid());
  lockstep_name_agent_as_tracer(socket.get());
  return tracers.Pids();
}

TEST(AgentTracerTest, AnAncestorIsNamed) {
  const sockaddr_un address = Address();
  const base::UniqueFd agent = Listen(address);
  ASSERT_TRUE(agent.valid());
  const pid_t agents_pid = ::getpid();
  const pid_t shell = ::fork();
  if (shell == 0) {
    // As a program that a shell has started.
    if (const pid_t rank = ::fork(); rank != 0) {
      int status = -1;
      ::waitpid(rank, &status, 0);
      ::_exit(WEXITSTATUS(status));
    }
    NamedTracers tracers;
    if (!tracers.works()) ::_exit(2);
    ::_exit(Named(tracers, address) == std::vector<int64_t>{agents_pid} ? 0 : 1);
  }
  int status = -1;
  ::waitpid(shell, &status, 0);
  ::unlink(address.sun_path);
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "nobody tells of the calls of others here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(AgentTracerTest, OneThatIsNoAncestorIsNot) {
  const sockaddr_un address = Address();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    const base::UniqueFd listener = Listen(address);
    (void)!::write(ready[1], "", 1);
    while (true) ::pause();
  }
  char byte;
  EXPECT_EQ(::read(ready[0], &byte, 1), 1);
  std::thread([&] {
    NamedTracers tracers;
    if (!tracers.works()) GTEST_SKIP() << "nobody tells of the calls of others here";
    EXPECT_THAT(Named(tracers, address), IsEmpty());
  }).join();
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  ::unlink(address.sun_path);
}

}  // namespace
}  // namespace lockstep
