// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Asks glibc for what goes through name services, as the agent does: a user, a group, a service, a
// host. For nss_test.py.
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/base/logging.h"

int main(int, char** argv) {
  // glog asks for the user's name in a static initializer already.
  lockstep::base::InitLogging(argv[0], {.role = "probe"});
  const passwd* user = getpwuid(geteuid());
  const group* users_group = getgrgid(getegid());
  const servent* service = getservbyname("probe-service", "tcp");
  addrinfo* address = nullptr;
  const int resolved = getaddrinfo("probe-host", nullptr, nullptr, &address);
  std::printf("user %s group %s service %d host %s\n", user != nullptr ? user->pw_name : "unknown",
              users_group != nullptr ? users_group->gr_name : "unknown",
              service != nullptr ? ntohs(static_cast<uint16_t>(service->s_port)) : -1,
              resolved == 0 ? "found" : gai_strerror(resolved));
  if (address != nullptr) freeaddrinfo(address);
  return 0;
}
