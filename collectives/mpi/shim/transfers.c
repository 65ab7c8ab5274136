// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/transfers.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/mpi/shim/datatypes.h"
#include "collectives/mpi/shim/requests.h"
#include "collectives/shim/old_glibc.h"
#include "collectives/shim/recorded_values.h"

static struct shim_start transfer_of(const struct shim_call* call, uint8_t kind, int count,
                                     int type, int peer) {
  const int given = shim_int_at(call, peer);
  struct shim_start start = {
      .kind = kind,
      .peer = given == shim_process.mpi.any_source && kind == SHIM_RECV_KIND ? -1 : given,
      .function = call->function};
  if (count == 0) return start;
  const struct shim_elements elements =
      shim_elements_of(&shim_process.mpi, shim_handle_at(call, type, shim_process.mpi.type_f2c));
  start.dtype = elements.dtype;
  start.count = (uint64_t)shim_int_at(call, count) * elements.count;
  return start;
}

uint64_t shim_next_of(struct shim_comm* comm, const struct shim_start* start) {
  return start->kind == SHIM_SEND_KIND ? shim_next_sent(comm, start->peer)
                                       : shim_next_received(comm, start->peer);
}

static struct lockstep_ring_ticket begin_transfer(struct shim_call* call,
                                                  const struct shim_start* start) {
  const bool probes = call->function->role == SHIM_PROBE;
  pthread_mutex_lock(&shim_lock);
  const uint64_t seq =
      probes ? shim_awaited(call->comm, start->peer) : shim_next_of(call->comm, start);
  pthread_mutex_unlock(&shim_lock);
  const struct lockstep_ring_ticket ticket = shim_record(start, call->comm, seq, call->caller);
  if (call->function->request == 0) shim_wait_in(call, call->comm, true);
  return ticket;
}

/* Whether the other end is a rank: of MPI_PROC_NULL nothing is to be told. */
static bool has_peer(const struct shim_call* call, int place) {
  return shim_int_at(call, place) != shim_process.mpi.proc_null;
}

static bool find_comm_of(struct shim_call* call) {
  pthread_mutex_lock(&shim_lock);
  call->comm = shim_find_comm(shim_comm_at(call, call->function->comm));
  pthread_mutex_unlock(&shim_lock);
  return call->comm != NULL;
}

/* So that the sender can be read from a status that the program does not want. */
static void want_status(struct shim_call* call, int place) {
  if (!call->is_fortran && call->arguments[place] == shim_process.mpi.status_ignore)
    call->arguments[place] = (shim_word)call->statuses_at_hand;
}

void shim_begin_send_or_recv(struct shim_call* call) {
  const struct shim_function* const function = call->function;
  if (!has_peer(call, function->peer) || !find_comm_of(call)) return;
  const bool sends = function->role == SHIM_SEND || function->role == SHIM_PERSISTENT_SEND;
  struct shim_start start = transfer_of(call, sends ? SHIM_SEND_KIND : SHIM_RECV_KIND,
                                        function->count, function->type, function->peer);
  call->is_recorded = true;
  if (function->role == SHIM_PERSISTENT_SEND || function->role == SHIM_PERSISTENT_RECV) {
    call->start = malloc(sizeof start);
    if (call->start != NULL) *call->start = start;
    return;
  }
  if (start.peer < 0 && function->status != 0) want_status(call, function->status);
  call->ticket = begin_transfer(call, &start);
}

/* A receive from anybody has got a message of that one, which later receives of it come after. */
static void count_sender(struct shim_comm* comm, const void* status) {
  int source = -1;
  memcpy(&source, (const char*)status + shim_process.mpi.status_source, sizeof source);
  if (source < 0) return;
  pthread_mutex_lock(&shim_lock);
  (void)shim_next_received(comm, source);
  pthread_mutex_unlock(&shim_lock);
}

static bool is_from_anybody(const struct shim_call* call) {
  const enum shim_role role = call->function->role;
  return (role == SHIM_RECV || role == SHIM_PERSISTENT_RECV) &&
         shim_int_at(call, call->function->peer) == shim_process.mpi.any_source;
}

void shim_end_send_or_recv(struct shim_call* call, int code) {
  const bool from_anybody = is_from_anybody(call);
  if (from_anybody && call->function->status != 0 && code == SHIM_OK && !call->is_fortran)
    count_sender(call->comm, shim_pointer_at(call, call->function->status));
  shim_end_or_keep(call, code, true, from_anybody);
}

void shim_end_persistent(struct shim_call* call, int code) {
  const struct lockstep_ring_ticket none = {0, false};
  if (code == SHIM_OK && call->start != NULL) {
    shim_keep_request(call, none, call->start, true, is_from_anybody(call));
  } else {
    free(call->start);
  }
}

void shim_begin_send_recv(struct shim_call* call) {
  const struct shim_function* const function = call->function;
  if (!find_comm_of(call)) return;
  call->is_recorded = true;
  if (has_peer(call, function->peer)) {
    const struct shim_start start =
        transfer_of(call, SHIM_SEND_KIND, function->count, function->type, function->peer);
    call->ticket = begin_transfer(call, &start);
  }
  if (has_peer(call, function->recv_peer)) {
    const struct shim_start start = transfer_of(call, SHIM_RECV_KIND, function->recv_count,
                                                function->recv_type, function->recv_peer);
    if (start.peer < 0) want_status(call, function->status);
    call->second_ticket = begin_transfer(call, &start);
  }
}

void shim_end_send_recv(struct shim_call* call, int code) {
  shim_end_record(call->ticket, code);
  shim_end_record(call->second_ticket, code);
  if (call->second_ticket.valid && code == SHIM_OK && !call->is_fortran &&
      shim_int_at(call, call->function->recv_peer) == shim_process.mpi.any_source)
    count_sender(call->comm, shim_pointer_at(call, call->function->status));
}

void shim_begin_match(struct shim_call* call) {
  if (!has_peer(call, call->function->peer) || !find_comm_of(call)) return;
  call->is_recorded = true;
  want_status(call, call->function->status);
}

void shim_end_match(struct shim_call* call, int code) {
  if (code != SHIM_OK || *(const int*)shim_pointer_at(call, call->function->flag) == 0) return;
  const struct shim_start start = transfer_of(call, SHIM_RECV_KIND, 0, 0, call->function->peer);
  pthread_mutex_lock(&shim_lock);
  const uint64_t seq = shim_next_of(call->comm, &start);
  pthread_mutex_unlock(&shim_lock);
  shim_end_record(shim_record(&start, call->comm, seq, call->caller), code);
  if (start.peer < 0 && !call->is_fortran)
    count_sender(call->comm, shim_pointer_at(call, call->function->status));
}
