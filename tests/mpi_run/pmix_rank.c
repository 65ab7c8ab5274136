// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// A client of PMIx itself: tells the others its number, and gets the next one's.
#include <pmix.h>
#include <stdbool.h>
#include <stdio.h>

static int fail(const char* call, pmix_status_t status) {
  printf("%s: %s\n", call, PMIx_Error_string(status));
  return 1;
}

int main(void) {
  pmix_proc_t self;
  pmix_status_t status = PMIx_Init(&self, NULL, 0);
  if (status != PMIX_SUCCESS) return fail("PMIx_Init", status);
  pmix_proc_t all;
  PMIX_LOAD_PROCID(&all, self.nspace, PMIX_RANK_WILDCARD);
  pmix_value_t* got = NULL;
  status = PMIx_Get(&all, PMIX_JOB_SIZE, NULL, 0, &got);
  if (status != PMIX_SUCCESS) return fail("PMIx_Get", status);
  const uint32_t size = got->data.uint32;
  PMIX_VALUE_RELEASE(got);

  char key[32];
  snprintf(key, sizeof key, "key-%u", self.rank);
  pmix_value_t value = {.type = PMIX_UINT32, .data.uint32 = self.rank * 10};
  status = PMIx_Put(PMIX_GLOBAL, key, &value);
  if (status == PMIX_SUCCESS) status = PMIx_Commit();
  if (status != PMIX_SUCCESS) return fail("PMIx_Put", status);
  bool collect = true;
  pmix_info_t info;
  PMIX_INFO_LOAD(&info, PMIX_COLLECT_DATA, &collect, PMIX_BOOL);
  status = PMIx_Fence(&all, 1, &info, 1);
  if (status != PMIX_SUCCESS) return fail("PMIx_Fence", status);

  pmix_proc_t next;
  PMIX_LOAD_PROCID(&next, self.nspace, (self.rank + 1) % size);
  snprintf(key, sizeof key, "key-%u", next.rank);
  status = PMIx_Get(&next, key, NULL, 0, &got);
  if (status != PMIX_SUCCESS) return fail("PMIx_Get", status);
  printf("%s: rank %u of %u, next %u\n", self.nspace, self.rank, size, got->data.uint32);
  PMIX_VALUE_RELEASE(got);
  return PMIx_Finalize(NULL, 0) == PMIX_SUCCESS ? 0 : 1;
}
