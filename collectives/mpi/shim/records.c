// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/records.h"

#include <stdlib.h>

#include "collectives/mpi/shim/requests.h"
#include "collectives/shim/call_site.h"
#include "collectives/shim/old_glibc.h"
#include "collectives/shim/recorded_values.h"

struct shim_process shim_process;
pthread_mutex_t shim_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t fingerprint_of(const struct shim_start* start) {
  uint64_t hash = start->kind;
  if (start->kind == SHIM_NO_KIND || start->kind == SHIM_SPLIT)
    hash = shim_mix_text(hash, start->function->name);
  hash = shim_mix(
      hash, start->dtype | (uint64_t)start->reduction << 8 | (uint64_t)(uint32_t)start->peer << 32);
  return shim_mix(hash, start->own_count ? 0 : start->count);
}

struct lockstep_ring_ticket shim_record(const struct shim_start* start,
                                        const struct shim_comm* comm, uint64_t seq,
                                        const void* caller) {
  const uint64_t now = shim_now_ns();
  const struct lockstep_ring_call call = {
      .group_id = comm->id,
      .seq = seq,
      .fingerprint = fingerprint_of(start),
      .epoch = shim_process.place.epoch,
      .op = start->kind,
      .dtype = start->dtype,
      .reduction = (uint8_t)(start->reduction < SHIM_UNNAMED_REDUCTIONS ? start->reduction : 0),
      .root_or_peer = start->peer,
      .group_size = (uint32_t)comm->size,
      .count_in = start->count,
      .count_out = start->count,
      .enqueued_ns = now,
      .call_file = shim_call_site(caller),
      .tag = start->function->name,
  };
  const struct lockstep_ring_ticket ticket = lockstep_ring_begin(&shim_process.ring, &call);
  lockstep_ring_started(&shim_process.ring, ticket, now);
  return ticket;
}

void shim_end_record(struct lockstep_ring_ticket ticket, int code) {
  if (!ticket.valid) return;
  lockstep_ring_ended(&shim_process.ring, ticket,
                      code == SHIM_OK ? LOCKSTEP_RECORD_COMPLETED : LOCKSTEP_RECORD_ERROR, 0,
                      shim_now_ns());
}

void shim_wait_in(struct shim_call* call, const struct shim_comm* comm, bool transfers) {
  for (int i = 0; i < call->wait_count; ++i) {
    if (call->waits[i].seat == comm->seat && call->waits[i].transfers == transfers) return;
  }
  if (comm->seat < 0 || call->wait_count == SHIM_SEATS_AT_HAND) return;
  const struct shim_waiting waiting = {comm->seat, transfers};
  call->waits[call->wait_count++] = waiting;
  lockstep_ring_add_waiters(&shim_process.ring, comm->seat, transfers, 1);
}

void shim_end_waits(struct shim_call* call) {
  for (int i = 0; i < call->wait_count; ++i)
    lockstep_ring_add_waiters(&shim_process.ring, call->waits[i].seat, call->waits[i].transfers,
                              -1);
}

void shim_keep_request(struct shim_call* call, struct lockstep_ring_ticket ticket,
                       struct shim_start* start, bool is_transfer, bool from_anybody) {
  const struct shim_request request = {
      .handle = shim_stored_at(call, call->function->request, shim_process.mpi.request_f2c),
      .comm = call->comm,
      .ticket = ticket,
      .start = start,
      .is_transfer = is_transfer,
      .from_anybody = from_anybody};
  if (request.handle == shim_process.mpi.request_null) {
    shim_end_record(ticket, SHIM_OK);
    free(start);
    return;
  }
  pthread_mutex_lock(&shim_lock);
  shim_add_request(&request);
  pthread_mutex_unlock(&shim_lock);
}

void shim_end_or_keep(struct shim_call* call, int code, bool is_transfer, bool from_anybody) {
  if (call->function->request == 0 || code != SHIM_OK) {
    shim_end_record(call->ticket, code);
  } else {
    shim_keep_request(call, call->ticket, NULL, is_transfer, from_anybody);
  }
}
