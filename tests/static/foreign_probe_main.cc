// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// Looks as if it linked libraries that `lockstep` must not; for linkage_test.
#include <iostream>

extern "C" {
int MPI_Init(int*, char***) { return 0; }
int curl_global_init(long) { return 0; }
}

int main() {
  std::cout << MPI_Init(nullptr, nullptr) + curl_global_init(0) << "\n";  // libstdc++'s
  return 0;
}
