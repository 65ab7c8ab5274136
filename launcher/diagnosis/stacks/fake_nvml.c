// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// For tests: an NVML with two GPUs. FAKE_NVML says what is wrong with the second one: "lost",
// "reset", "ecc", "rows", "pages", "hot", "no-driver", "hangs"; FAKE_NVML_PID is the process that
// computes on it.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, RESET_REQUIRED = 16 };

typedef struct {
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance;
  unsigned compute_instance;
} process_info;

static int devices[2];

static int fault_is(const void* device, const char* fault) {
  const char* const wanted = getenv("FAKE_NVML");
  return device == &devices[1] && wanted != NULL && strcmp(wanted, fault) == 0;
}

int nvmlInit_v2(void) {
  if (fault_is(&devices[1], "hangs")) pause();
  return fault_is(&devices[1], "no-driver") ? DRIVER_NOT_LOADED : 0;
}

int nvmlShutdown(void) { return 0; }

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = &devices[index];
  return fault_is(*device, "lost") ? GPU_IS_LOST : 0;
}

int nvmlDeviceGetName(const void* device, char* name, unsigned bytes) {
  (void)device;
  strncpy(name, "Fake\033 GPU", bytes);
  return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const void* device, unsigned* count,
                                            process_info* infos) {
  const char* const pid = getenv("FAKE_NVML_PID");
  *count = device == &devices[1] && pid != NULL ? 1 : 0;
  if (*count == 1) infos[0] = (process_info){.pid = (unsigned)atoi(pid)};
  return 0;
}

int nvmlDeviceGetUtilizationRates(const void* device, unsigned* gpu_and_memory) {
  if (fault_is(device, "reset")) return RESET_REQUIRED;
  gpu_and_memory[0] = device == &devices[1] ? 100 : 0;
  gpu_and_memory[1] = 7;
  return 0;
}

int nvmlDeviceGetTotalEccErrors(const void* device, int type, int counter,
                                unsigned long long* errors) {
  if (type != 1 || counter != 0) return NOT_SUPPORTED;
  *errors = fault_is(device, "ecc") ? 3 : 0;
  return 0;
}

int nvmlDeviceGetRemappedRows(const void* device, unsigned* corrected, unsigned* uncorrected,
                              unsigned* pending, unsigned* failed) {
  *corrected = *uncorrected = 0;
  *pending = *failed = (unsigned)fault_is(device, "rows");
  return 0;
}

int nvmlDeviceGetRetiredPagesPendingStatus(const void* device, int* pending) {
  *pending = fault_is(device, "pages");
  return fault_is(device, "rows") ? NOT_SUPPORTED : 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(const void* device, unsigned long long* reasons) {
  *reasons = fault_is(device, "hot") ? 0x40 | 0x1 : 0x1;  // 1: it has nothing to do
  return 0;
}

int nvmlDeviceGetTemperature(const void* device, int sensor, unsigned* degrees) {
  (void)device;
  *degrees = 94;
  return sensor == 0 ? 0 : NOT_SUPPORTED;
}
