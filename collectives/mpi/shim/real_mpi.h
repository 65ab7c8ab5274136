// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_REAL_MPI_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_REAL_MPI_H_
/* The MPI that the program has loaded, whichever it is. No mpi.h is seen here: arguments are words,
 * which are passed on as they came in. On this ABI (x86-64, AArch64) int, pointer and handle take a
 * register or a stack slot of 8 bytes each, whose upper half is nobody's business where the callee
 * takes an int; so that one object serves Open MPI, whose handles are pointers, and MPICH and its
 * relatives (Intel MPI, MVAPICH, Cray: one ABI since 2013), whose handles are ints. What differs
 * is here: constants, and how handles and statuses lie in the program's memory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t shim_word;

enum shim_family { SHIM_UNKNOWN_MPI, SHIM_OPEN_MPI, SHIM_MPICH };

enum { SHIM_OK = 0 }; /* MPI_SUCCESS of all */

/* Functions of it that we call, by the names they have behind PMPI_. */
#define SHIM_USED_FUNCTIONS(X)                                                                     \
  X(Initialized, (int* flag))                                                                      \
  X(Comm_rank, (shim_word comm, int* rank))                                                        \
  X(Comm_size, (shim_word comm, int* size))                                                        \
  X(Comm_test_inter, (shim_word comm, int* flag))                                                  \
  X(Comm_group, (shim_word comm, shim_word * group))                                               \
  X(Group_translate_ranks,                                                                         \
    (shim_word group, int count, const int* ranks, shim_word other, int* others))                  \
  X(Group_free, (shim_word * group))                                                               \
  X(Type_size, (shim_word type, int* size))                                                        \
  X(Type_get_envelope, (shim_word type, int* integers, int* addresses, int* types, int* combiner)) \
  X(Type_get_contents, (shim_word type, int integer_count, int address_count, int type_count,      \
                        int* integers, void* addresses, void* types))                              \
  X(Type_free, (shim_word * type))

struct shim_mpi {
  enum shim_family family;
  size_t handle_bytes;
  shim_word handle_mask; /* of a word, what is the handle */
  shim_word comm_world, comm_self, comm_null, request_null;
  int any_source, proc_null, undefined;
  shim_word in_place, fortran_in_place, status_ignore;
  size_t status_bytes, status_source, status_error; /* where MPI_SOURCE, MPI_ERROR lie in it */
#define SHIM_DECLARE(name, parameters) int(*name) parameters;
  SHIM_USED_FUNCTIONS(SHIM_DECLARE)
#undef SHIM_DECLARE
  /* Open MPI's, from Fortran's handles; NULL elsewhere, where they are the same. */
  shim_word (*comm_f2c)(int), (*type_f2c)(int), (*op_f2c)(int), (*request_f2c)(int);
};

/* The function of that name which comes after this object: in the program's own libraries or, where
 * a plugin has brought MPI along for itself alone (Python's), in what the object of `caller` needs.
 * NULL: there is none. */
void* shim_find(const char* name, const void* caller);
/* The loaded object which `address` is in; NULL: none. */
const char* shim_object_of(const void* address);

/* Fills it in; false: it is none that is known here. After MPI_Init may be called. */
bool shim_meet(const void* caller, struct shim_mpi* mpi);

/* Of the datatypes that C and Fortran give names to an enum shim_dtype, of others -1. */
int shim_named_dtype(shim_word type);
/* An enum shim_reduction. */
int shim_reduction(shim_word op);

static inline shim_word shim_load_handle(const struct shim_mpi* mpi, const void* handles,
                                         size_t index) {
  return mpi->handle_bytes == 8 ? ((const uint64_t*)handles)[index]
                                : ((const uint32_t*)handles)[index];
}

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_REAL_MPI_H_ */
