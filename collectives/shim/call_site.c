// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/shim/call_site.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "collectives/shim/old_glibc.h"
#include "collectives/recorder/record.h"

enum {
  SLOTS = 2048, /* a power of two */
  MOST = SLOTS * 3 / 4,
  TEXT_BYTES = sizeof((struct lockstep_record*)0)->call_site
};

/* An address is written once, after its text. */
static struct {
  uintptr_t address;
  char text[TEXT_BYTES];
} sites[SLOTS];
static size_t site_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* The object's name is cut, not the place in it. */
static void format(const void* address, char* text) {
  Dl_info info;
  char place[24];
  if (dladdr(address, &info) == 0 || info.dli_fname == NULL) {
    snprintf(text, TEXT_BYTES, "0x%zx", (uintptr_t)address - 1);
    return;
  }
  const char* const slash = strrchr(info.dli_fname, '/');
  const char* const name = slash != NULL ? slash + 1 : info.dli_fname;
  const int length =
      snprintf(place, sizeof place, "+0x%zx", (uintptr_t)address - 1 - (uintptr_t)info.dli_fbase);
  snprintf(text, TEXT_BYTES, "%.*s%s", TEXT_BYTES - 1 - length, name, place);
}

static size_t slot_of(uintptr_t address) {
  return (size_t)((address * UINT64_C(0x9e3779b97f4a7c15)) >> 53) % SLOTS;
}

/* The slot of `address`, or the empty one where it would be. */
static size_t find(uintptr_t address, bool* found) {
  for (size_t slot = slot_of(address);; slot = (slot + 1) % SLOTS) {
    const uintptr_t there = __atomic_load_n(&sites[slot].address, __ATOMIC_ACQUIRE);
    *found = there == address;
    if (*found || there == 0) return slot;
  }
}

const char* shim_call_site(const void* address) {
  const uintptr_t wanted = (uintptr_t)address;
  bool found = false;
  size_t slot = find(wanted, &found);
  if (found) return sites[slot].text;
  pthread_mutex_lock(&mutex);
  slot = find(wanted, &found);
  if (!found && site_count < MOST) {
    ++site_count;
    format(address, sites[slot].text);
    __atomic_store_n(&sites[slot].address, wanted, __ATOMIC_RELEASE);
    found = true;
  }
  pthread_mutex_unlock(&mutex);
  return found ? sites[slot].text : "one of very many";
}
