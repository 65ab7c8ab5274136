// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_MPI_SHIM_DATATYPES_H_
#define LOCKSTEP_COLLECTIVES_MPI_SHIM_DATATYPES_H_

#include <stdint.h>

#include "collectives/mpi/shim/real_mpi.h"

/* What counts of a datatype where members' calls are compared. MPI wants the same elements in the
 * same order, however each member describes them: a vector of 8 floats, and 8 floats. */
struct shim_elements {
  uint8_t dtype;  /* collectives::Dtype of all of them; 0: there are several, or it is none */
  uint64_t count; /* of dtype's; where that is 0, bytes */
};

/* Those of one `type`. May ask MPI, once a type; takes the lock of its own. */
struct shim_elements shim_elements_of(const struct shim_mpi* mpi, shim_word type);
/* Before `type` goes, and its handle becomes another's. */
void shim_forget_type(shim_word type);

#endif /* LOCKSTEP_COLLECTIVES_MPI_SHIM_DATATYPES_H_ */
