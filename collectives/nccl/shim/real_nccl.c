// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/nccl/shim/real_nccl.h"

#include "collectives/shim/old_glibc.h"
#include "collectives/shim/recorded_values.h"

/* Until the process ends: a library that is looked into must not go. */
static void* already_loaded(const char* name) { return dlopen(name, RTLD_LAZY | RTLD_NOLOAD); }

void* shim_library_of(const void* address) {
  Dl_info info;
  if (address == NULL || dladdr(address, &info) == 0 || info.dli_fname == NULL) return NULL;
  return already_loaded(info.dli_fname);
}

void* shim_find(const char* name, const void* caller) {
  if (&dlsym == NULL) return NULL;
  void* found = dlsym(RTLD_NEXT, name);
  if (found != NULL) return found;
  void* library = shim_library_of(caller);
  if (library != NULL) found = dlsym(library, name);
  if (found != NULL) return found;
  library = already_loaded("libnccl.so.2");
  return library != NULL ? dlsym(library, name) : NULL;
}

uint8_t shim_dtype_of(int type) {
  static const uint8_t dtypes[] = {SHIM_I8,  SHIM_U8,   SHIM_I32,     SHIM_U32,
                                   SHIM_I64, SHIM_U64,  SHIM_F16,     SHIM_F32,
                                   SHIM_F64, SHIM_BF16, SHIM_F8_E4M3, SHIM_F8_E5M2};
  return type >= 0 && type < (int)sizeof dtypes ? dtypes[type] : SHIM_NO_DTYPE;
}

/* Mind that max comes before min. What the program has created is a sum of multiples. */
uint8_t shim_reduction_of(int op) {
  static const uint8_t reductions[] = {SHIM_SUM, SHIM_PRODUCT, SHIM_MAX, SHIM_MIN, SHIM_AVERAGE};
  return op >= 0 && op < (int)sizeof reductions ? reductions[op] : SHIM_PREMULTIPLIED_SUM;
}
