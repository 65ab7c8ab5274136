// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "collectives/mpi/shim/requests.h"
#include "collectives/mpi/shim/transfers.h"
#include "collectives/shim/old_glibc.h"

static bool save_handles(struct shim_call* call) {
  const struct shim_function* const function = call->function;
  const int count = function->request_count != 0 ? shim_int_at(call, function->request_count) : 1;
  call->request_count = count > 0 ? (size_t)count : 0;
  call->saved = call->request_count <= SHIM_REQUESTS_AT_HAND
                    ? call->saved_at_hand
                    : malloc(call->request_count * sizeof *call->saved);
  if (call->saved == NULL) return false;
  for (size_t i = 0; i < call->request_count; ++i) {
    const uint64_t stored = shim_raw_at(call, function->requests, i);
    call->saved[i].stored = stored;
    call->saved[i].handle =
        call->is_fortran ? shim_process.mpi.request_f2c((int)stored) : (shim_word)stored;
  }
  return true;
}

/* Of receives from anybody, whose senders only the statuses tell. */
static void want_statuses(struct shim_call* call) {
  const int place = call->function->statuses;
  if (place == 0 || call->is_fortran || call->arguments[place] != shim_process.mpi.status_ignore)
    return;
  if (call->request_count <= SHIM_REQUESTS_AT_HAND) {
    call->arguments[place] = (shim_word)call->statuses_at_hand;
    return;
  }
  call->own_statuses = calloc(call->request_count, shim_process.mpi.status_bytes);
  if (call->own_statuses != NULL) call->arguments[place] = (shim_word)call->own_statuses;
}

void shim_begin_completion(struct shim_call* call) {
  call->own_statuses = NULL;
  if (!save_handles(call)) return;
  call->is_recorded = true;
  bool from_anybody = false;
  pthread_mutex_lock(&shim_lock);
  for (size_t i = 0; i < call->request_count; ++i) {
    const struct shim_request* const request = shim_find_request(call->saved[i].handle);
    if (request == NULL) continue;
    from_anybody = from_anybody || request->from_anybody;
    if (call->function->role == SHIM_WAIT) shim_wait_in(call, request->comm, request->is_transfer);
  }
  pthread_mutex_unlock(&shim_lock);
  if (from_anybody) want_statuses(call);
}

/* Where the status of request `i` is; NULL: it is not told. */
static const char* status_of(const struct shim_call* call, size_t i, size_t order) {
  const struct shim_function* const function = call->function;
  if (function->statuses == 0 || call->is_fortran ||
      call->arguments[function->statuses] == shim_process.mpi.status_ignore)
    return NULL;
  const size_t place = function->indices != 0 ? order : function->index != 0 ? 0 : i;
  return (const char*)shim_pointer_at(call, function->statuses) +
         place * shim_process.mpi.status_bytes;
}

/* Whether a persistent request, whose handle stays, is over; `order`: its place among those. */
static bool is_named_over(const struct shim_call* call, size_t i, size_t* order) {
  const struct shim_function* const function = call->function;
  const int base = call->is_fortran ? 1 : 0;
  if (function->flag != 0 && *(const int*)shim_pointer_at(call, function->flag) == 0) return false;
  if (function->index != 0)
    return *(const int*)shim_pointer_at(call, function->index) == (int)i + base;
  if (function->indices == 0) return true;
  const int count = *(const int*)shim_pointer_at(call, function->index_count);
  const int* const indices = shim_pointer_at(call, function->indices);
  for (int k = 0; k < count; ++k) {
    *order = (size_t)k;
    if (indices[k] == (int)i + base) return true;
  }
  return false;
}

/* How request `i` ended where the call as a whole ended with `code`. */
static int code_of(const struct shim_call* call, size_t i, int code) {
  const struct shim_function* const function = call->function;
  if (code == SHIM_OK || function->request_count == 0 || function->index != 0 ||
      function->indices != 0)
    return code;
  const char* const status = status_of(call, i, 0);
  if (status != NULL) memcpy(&code, status + shim_process.mpi.status_error, sizeof code);
  return code;
}

static void end_request(struct shim_call* call, size_t i, int code) {
  const bool is_gone = shim_raw_at(call, call->function->requests, i) != call->saved[i].stored;
  size_t order = 0;
  const bool is_named = code == SHIM_OK && is_named_over(call, i, &order);
  if (!is_gone && !is_named) return;
  struct shim_request* const request = shim_find_request(call->saved[i].handle);
  if (request == NULL || (!is_gone && request->start == NULL)) return;
  const char* const status = is_named ? status_of(call, i, order) : NULL;
  if (request->from_anybody && request->ticket.valid && status != NULL) {
    int source = -1;
    memcpy(&source, status + shim_process.mpi.status_source, sizeof source);
    if (source >= 0) (void)shim_next_received(request->comm, source);
  }
  shim_end_record(request->ticket, code_of(call, i, code));
  request->ticket.valid = false;
  if (is_gone) shim_remove_request(request);
}

static void free_saved(struct shim_call* call) {
  if (call->saved != call->saved_at_hand) free(call->saved);
}

void shim_end_completion(struct shim_call* call, int code) {
  pthread_mutex_lock(&shim_lock);
  for (size_t i = 0; i < call->request_count; ++i) end_request(call, i, code);
  pthread_mutex_unlock(&shim_lock);
  free(call->own_statuses);
  free_saved(call);
}

void shim_begin_start(struct shim_call* call) {
  if (!save_handles(call)) return;
  for (size_t i = 0; i < call->request_count; ++i) {
    pthread_mutex_lock(&shim_lock);
    struct shim_request* const request = shim_find_request(call->saved[i].handle);
    if (request != NULL && request->start != NULL) {
      const uint64_t seq = shim_next_of(request->comm, request->start);
      request->ticket = shim_record(request->start, request->comm, seq, call->caller);
    }
    pthread_mutex_unlock(&shim_lock);
  }
  free_saved(call);
}

/* What becomes of it nobody is told any more. */
void shim_begin_letting_go(struct shim_call* call) {
  if (!save_handles(call)) return;
  pthread_mutex_lock(&shim_lock);
  struct shim_request* const request = shim_find_request(call->saved[0].handle);
  if (request != NULL) {
    shim_end_record(request->ticket, SHIM_OK);
    shim_remove_request(request);
  }
  pthread_mutex_unlock(&shim_lock);
}
