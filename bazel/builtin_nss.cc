// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A fully static program that follows a container's nsswitch.conf loads that container's NSS
// modules, built for another glibc, and dies of SIGFPE before main (glog asks for the user's name
// in a static initializer). So the static build uses only the services that are built into glibc;
// users known to sssd or systemd alone are then unknown.
#include <nss.h>

namespace {

__attribute__((constructor(101))) void UseBuiltInNameServices() {
  __nss_configure_lookup("hosts", "files dns");
  __nss_configure_lookup("passwd", "files");
  __nss_configure_lookup("group", "files");
  __nss_configure_lookup("services", "files");
}

}  // namespace
