// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/datatypes.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CACHED = 256, MOST_DEPTH = 16 };

static struct {
  shim_word type;
  struct shim_elements elements;
} cache[CACHED];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static size_t place_of(shim_word type) {
  return (size_t)((type * UINT64_C(0x9e3779b97f4a7c15)) >> 56) % CACHED;
}

struct leaf {
  shim_word type; /* 0: none seen yet */
  int dtype;
};

/* What a type is made of. */
struct parts {
  int integers, addresses, types, combiner;
};

static bool find_leaf(const struct shim_mpi* mpi, shim_word type, int depth, struct leaf* leaf);

static bool same_leaf_in(const struct shim_mpi* mpi, shim_word type, const struct parts* parts,
                         int depth, struct leaf* leaf) {
  int* const integers = calloc((size_t)parts->integers + 1, sizeof *integers);
  int64_t* const addresses = calloc((size_t)parts->addresses + 1, sizeof *addresses);
  void* const types = calloc((size_t)parts->types + 1, mpi->handle_bytes);
  bool same = integers != NULL && addresses != NULL && types != NULL &&
              mpi->Type_get_contents(type, parts->integers, parts->addresses, parts->types,
                                     integers, addresses, types) == SHIM_OK;
  for (int i = 0; same && i < parts->types; ++i) {
    same = find_leaf(mpi, shim_load_handle(mpi, types, (size_t)i), depth + 1, leaf);
  }
  free(integers);
  free(addresses);
  free(types);
  return same;
}

/* Whether `type` has no other elements than *leaf, which the first one sets. */
static bool find_leaf(const struct shim_mpi* mpi, shim_word type, int depth, struct leaf* leaf) {
  const int named = shim_named_dtype(type);
  if (named >= 0) {
    const bool is_first = leaf->type == 0;
    if (is_first) {
      leaf->type = type;
      leaf->dtype = named;
    }
    return named > 0 && leaf->dtype == named;
  }
  struct parts parts;
  if (mpi->Type_get_envelope(type, &parts.integers, &parts.addresses, &parts.types,
                             &parts.combiner) != SHIM_OK ||
      parts.types == 0)
    return false; /* a type of MPI's own without a name here: it is nobody's to free */
  const bool same = depth < MOST_DEPTH && same_leaf_in(mpi, type, &parts, depth, leaf);
  /* What describes another type was made for who asked. */
  if (depth > 0) mpi->Type_free(&type);
  return same;
}

static struct shim_elements look_at(const struct shim_mpi* mpi, shim_word type) {
  int bytes = 0, leaf_bytes = 0;
  struct leaf leaf = {0, 0};
  if (mpi->Type_size(type, &bytes) != SHIM_OK || bytes < 0) bytes = 0;
  struct shim_elements elements = {0, (uint64_t)bytes};
  if (find_leaf(mpi, type, 0, &leaf) && mpi->Type_size(leaf.type, &leaf_bytes) == SHIM_OK &&
      leaf_bytes > 0) {
    elements.dtype = (uint8_t)leaf.dtype;
    elements.count = (uint64_t)(bytes / leaf_bytes);
  }
  return elements;
}

struct shim_elements shim_elements_of(const struct shim_mpi* mpi, shim_word type) {
  const int named = shim_named_dtype(type);
  if (named > 0) {
    const struct shim_elements one = {(uint8_t)named, 1};
    return one;
  }
  const size_t place = place_of(type);
  pthread_mutex_lock(&mutex);
  const bool known = cache[place].type == type && type != 0;
  struct shim_elements elements = cache[place].elements;
  pthread_mutex_unlock(&mutex);
  if (known) return elements;
  elements = look_at(mpi, type);
  pthread_mutex_lock(&mutex);
  cache[place].type = type;
  cache[place].elements = elements;
  pthread_mutex_unlock(&mutex);
  return elements;
}

void shim_forget_type(shim_word type) {
  const size_t place = place_of(type);
  pthread_mutex_lock(&mutex);
  if (cache[place].type == type) cache[place].type = 0;
  pthread_mutex_unlock(&mutex);
}
