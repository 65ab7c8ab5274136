// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The seam between Lockstep and an MPI library, in C: a table of functions that one small shared
// object for each MPI (liblockstep_mpi_openmpi.so, liblockstep_mpi_mpich.so; both lockstep_mpi.c)
// hands out. No type or number of MPI passes it, so that whoever loads the object needs no MPI.
//
// Threads: one thread calls everything, from init() to finalize(). Pointers in a call must stay
// valid until its request has ended, except the arrays of counts and offsets, which are copied.
#ifndef LOCKSTEP_COLLECTIVES_MPI_LOCKSTEP_MPI_H_
#define LOCKSTEP_COLLECTIVES_MPI_LOCKSTEP_MPI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Changes with any change of this file.
#define LOCKSTEP_MPI_VERSION 3u

enum lockstep_mpi_result {
  LOCKSTEP_MPI_OK = 0,
  LOCKSTEP_MPI_TRUNCATED = 1,  // a message was longer than what was to receive it
  LOCKSTEP_MPI_NO_MEMORY = 2,
  LOCKSTEP_MPI_FAILED = 3,  // anything else; last_error() has MPI's words
  // A rank has died and MPI goes on without it, or revoke() has ended the call. Only where
  // outlives() says so.
  LOCKSTEP_MPI_PEER_FAILED = 4,
};

enum lockstep_mpi_kind {
  LOCKSTEP_MPI_BARRIER,
  LOCKSTEP_MPI_ALL_REDUCE,      // out[count], in place
  LOCKSTEP_MPI_REDUCE,          // out[count], in place; the result on `peer` alone
  LOCKSTEP_MPI_BROADCAST,       // out[count] of `peer`
  LOCKSTEP_MPI_ALL_GATHER,      // out, whose own part is in its place
  LOCKSTEP_MPI_GATHER,          // in[count] into out of `peer`
  LOCKSTEP_MPI_SCATTER,         // in of `peer` into out[count]
  LOCKSTEP_MPI_ALL_TO_ALL,      // in into out
  LOCKSTEP_MPI_REDUCE_SCATTER,  // in, of parts of out_counts, into out
  LOCKSTEP_MPI_SEND,            // in[count] to `peer`
  LOCKSTEP_MPI_RECV,            // out, at most `count`, from `peer`
};

#define LOCKSTEP_MPI_ANY_PEER (-1)

struct lockstep_mpi_comm;     // a communicator
struct lockstep_mpi_request;  // a call in flight
struct lockstep_mpi_reducer;  // an element's size and what combines two

/// inout[i] = in[i] op inout[i] for `count` elements. Called inside test() and start().
typedef void (*lockstep_mpi_combine)(const void* context, const void* in, void* inout,
                                     size_t count);

/// Counts and offsets are elements of `reducer`, or bytes where that is null; arrays are by member.
struct lockstep_mpi_call {
  enum lockstep_mpi_kind kind;
  struct lockstep_mpi_comm* comm;
  const struct lockstep_mpi_reducer* reducer;
  int peer;  // root, or the other end
  int tag;
  const void* in;
  void* out;
  int count;
  const int* in_counts;
  const int* in_offsets;
  const int* out_counts;
  const int* out_offsets;
};

struct lockstep_mpi_api {
  uint32_t version;           // LOCKSTEP_MPI_VERSION
  const char* family;         // "Open MPI", "MPICH": what version_text() begins with
  const char* built_against;  // "Open MPI 4.1.4"
  const char* soname;         // "libmpi.so.40": the library that it needs

  /// Of the MPI that is loaded, one line. May be called before init().
  void (*version_text)(char* text, size_t bytes);
  /// Waits for the other ranks as long as MPI likes. Fails when the program itself has called it.
  enum lockstep_mpi_result (*init)(int* world_rank, int* world_size);
  /// Hangs, or worse, while a call is in flight.
  enum lockstep_mpi_result (*finalize)(void);

  /// A communicator of everybody. Collective.
  enum lockstep_mpi_result (*duplicate_world)(struct lockstep_mpi_comm** comm);
  /// Of these ranks of the world, which all call it with the same `group` and `epoch`, a pair that
  /// no other communicator had; one after the other. Of the whole world in its order, without ULFM,
  /// it returns at once with a `request`, and `comm` is there once that has ended well (free_comm
  /// when it has not). Of others `request` is null, and it waits for them as long as MPI likes: for
  /// one that is stopped or dies in it for ever, since MPI has no other form of it.
  enum lockstep_mpi_result (*create_comm)(const int* world_ranks, int count, uint64_t group,
                                          uint32_t epoch, struct lockstep_mpi_comm** comm,
                                          struct lockstep_mpi_request** request);
  /// Nothing may be in flight on it.
  void (*free_comm)(struct lockstep_mpi_comm* comm);

  /// Lives until finalize(). `context` must too.
  enum lockstep_mpi_result (*create_reducer)(lockstep_mpi_combine combine, const void* context,
                                             int element_bytes,
                                             struct lockstep_mpi_reducer** reducer);

  /// Never waits for others.
  enum lockstep_mpi_result (*start)(const struct lockstep_mpi_call* call,
                                    struct lockstep_mpi_request** request);
  /// Lets MPI get on with everything. Once `ended` the request is gone, whatever the result.
  enum lockstep_mpi_result (*test)(struct lockstep_mpi_request* request, int* ended);
  /// Of a LOCKSTEP_MPI_RECV alone: it then ends soon, received or not.
  void (*cancel)(struct lockstep_mpi_request* request);
  /// Whether the death of a rank ends, with PEER_FAILED, what the others have in flight with it,
  /// and nothing else: the library has ULFM, and its mpirun was told to let the others live
  /// (`mpirun --with-ft ulfm` of Open MPI 5). After init().
  int (*outlives)(void);
  /// Where outlives(): every call in flight on it ends with PEER_FAILED, on all members.
  void (*revoke)(struct lockstep_mpi_comm* comm);

  /// MPI's words for the last result that was not OK. Valid until the next call.
  const char* (*last_error)(void);
};

/// The one symbol of the object, by the name in LOCKSTEP_MPI_ENTRY.
const struct lockstep_mpi_api* lockstep_mpi_get_api(void);
#define LOCKSTEP_MPI_ENTRY "lockstep_mpi_get_api"

#ifdef __cplusplus
}
#endif

#endif  // LOCKSTEP_COLLECTIVES_MPI_LOCKSTEP_MPI_H_
