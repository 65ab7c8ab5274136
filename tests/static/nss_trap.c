// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// A name service module, as a distribution installs them, that tells when a program has loaded it.
// A real one kills a static program only where its glibc is another than the one linked in; this
// one does everywhere.
#include <unistd.h>

__attribute__((constructor)) static void TellAndDie(void) {
  static const char text[] = "the module libnss_trap.so.2 was loaded\n";
  (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
  _exit(86);
}
