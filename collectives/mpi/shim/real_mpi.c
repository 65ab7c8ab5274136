// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/shim/real_mpi.h"

#include <string.h>

#include "collectives/shim/old_glibc.h"
#include "collectives/shim/recorded_values.h"

/* Open MPI's symbol, MPICH's number, what it is. A type with a name that no dtype is has 0. */
static const struct named_type {
  const char* symbol;
  uint32_t number;
  uint8_t dtype;
} named_types[] = {
    {"ompi_mpi_char", 0x4c000101, SHIM_I8},
    {"ompi_mpi_signed_char", 0x4c000118, SHIM_I8},
    {"ompi_mpi_unsigned_char", 0x4c000102, SHIM_U8},
    {"ompi_mpi_byte", 0x4c00010d, SHIM_U8},
    {"ompi_mpi_short", 0x4c000203, SHIM_I16},
    {"ompi_mpi_unsigned_short", 0x4c000204, SHIM_NO_DTYPE},
    {"ompi_mpi_int", 0x4c000405, SHIM_I32},
    {"ompi_mpi_unsigned", 0x4c000406, SHIM_U32},
    {"ompi_mpi_long", 0x4c000807, SHIM_I64},
    {"ompi_mpi_unsigned_long", 0x4c000808, SHIM_U64},
    {"ompi_mpi_long_long_int", 0x4c000809, SHIM_I64},
    {"ompi_mpi_unsigned_long_long", 0x4c000819, SHIM_U64},
    {"ompi_mpi_float", 0x4c00040a, SHIM_F32},
    {"ompi_mpi_double", 0x4c00080b, SHIM_F64},
    {"ompi_mpi_long_double", 0x4c00100c, SHIM_NO_DTYPE},
    {"ompi_mpi_wchar", 0x4c00040e, SHIM_NO_DTYPE},
    {"ompi_mpi_packed", 0x4c00010f, SHIM_NO_DTYPE},
    {"ompi_mpi_c_bool", 0x4c00013f, SHIM_BOOL},
    {"ompi_mpi_cxx_bool", 0x4c000133, SHIM_BOOL},
    {"ompi_mpi_int8_t", 0x4c000137, SHIM_I8},
    {"ompi_mpi_int16_t", 0x4c000238, SHIM_I16},
    {"ompi_mpi_int32_t", 0x4c000439, SHIM_I32},
    {"ompi_mpi_int64_t", 0x4c00083a, SHIM_I64},
    {"ompi_mpi_uint8_t", 0x4c00013b, SHIM_U8},
    {"ompi_mpi_uint16_t", 0x4c00023c, SHIM_NO_DTYPE},
    {"ompi_mpi_uint32_t", 0x4c00043d, SHIM_U32},
    {"ompi_mpi_uint64_t", 0x4c00083e, SHIM_U64},
    {"ompi_mpi_aint", 0x4c000843, SHIM_I64},
    {"ompi_mpi_offset", 0x4c000844, SHIM_I64},
    {"ompi_mpi_count", 0x4c000845, SHIM_I64},
    {"ompi_mpi_c_float_complex", 0x4c000840, SHIM_NO_DTYPE},
    {"ompi_mpi_c_double_complex", 0x4c001041, SHIM_NO_DTYPE},
    {"ompi_mpi_c_long_double_complex", 0x4c002042, SHIM_NO_DTYPE},
    {"ompi_mpi_2int", 0x4c000816, SHIM_NO_DTYPE},
    /* Fortran's, of a compiler whose default integer and real have 4 bytes */
    {"ompi_mpi_integer", 0x4c00041b, SHIM_I32},
    {"ompi_mpi_real", 0x4c00041c, SHIM_F32},
    {"ompi_mpi_dblprec", 0x4c00081f, SHIM_F64},
    {"ompi_mpi_logical", 0x4c00041d, SHIM_NO_DTYPE},
    {"ompi_mpi_character", 0x4c00011a, SHIM_I8},
    {"ompi_mpi_cplex", 0x4c00081e, SHIM_NO_DTYPE},
    {"ompi_mpi_dblcplex", 0x4c001022, SHIM_NO_DTYPE},
    {"ompi_mpi_integer1", 0x4c00012d, SHIM_I8},
    {"ompi_mpi_integer2", 0x4c00022f, SHIM_I16},
    {"ompi_mpi_integer4", 0x4c000430, SHIM_I32},
    {"ompi_mpi_integer8", 0x4c000831, SHIM_I64},
    {"ompi_mpi_real4", 0x4c000427, SHIM_F32},
    {"ompi_mpi_real8", 0x4c000829, SHIM_F64},
};

static const struct named_op {
  const char* symbol;
  uint32_t number;
  uint8_t reduction;
} named_ops[] = {
    {"ompi_mpi_op_max", 0x58000001, SHIM_MAX},
    {"ompi_mpi_op_min", 0x58000002, SHIM_MIN},
    {"ompi_mpi_op_sum", 0x58000003, SHIM_SUM},
    {"ompi_mpi_op_prod", 0x58000004, SHIM_PRODUCT},
    {"ompi_mpi_op_land", 0x58000005, SHIM_UNNAMED_REDUCTIONS},
    {"ompi_mpi_op_band", 0x58000006, SHIM_BIT_AND},
    {"ompi_mpi_op_lor", 0x58000007, SHIM_UNNAMED_REDUCTIONS + 1},
    {"ompi_mpi_op_bor", 0x58000008, SHIM_BIT_OR},
    {"ompi_mpi_op_lxor", 0x58000009, SHIM_UNNAMED_REDUCTIONS + 2},
    {"ompi_mpi_op_bxor", 0x5800000a, SHIM_BIT_XOR},
    {"ompi_mpi_op_minloc", 0x5800000b, SHIM_UNNAMED_REDUCTIONS + 3},
    {"ompi_mpi_op_maxloc", 0x5800000c, SHIM_UNNAMED_REDUCTIONS + 4},
    {"ompi_mpi_op_replace", 0x5800000d, SHIM_UNNAMED_REDUCTIONS + 5},
};

enum {
  TYPE_COUNT = sizeof named_types / sizeof *named_types,
  OP_COUNT = sizeof named_ops / sizeof *named_ops,
  TYPE_SLOTS = 256 /* a power of two well above TYPE_COUNT */
};

/* Written by shim_meet, read by everybody afterwards. */
static struct {
  shim_word type;
  int dtype;
} types[TYPE_SLOTS];
static shim_word ops[OP_COUNT];

static size_t slot_of(shim_word type) {
  return (size_t)((type * UINT64_C(0x9e3779b97f4a7c15)) >> 56) % TYPE_SLOTS;
}

static void add_type(shim_word type, int dtype) {
  size_t slot = slot_of(type);
  while (types[slot].type != 0) slot = (slot + 1) % TYPE_SLOTS;
  types[slot].type = type;
  types[slot].dtype = dtype;
}

int shim_named_dtype(shim_word type) {
  for (size_t slot = slot_of(type); types[slot].type != 0; slot = (slot + 1) % TYPE_SLOTS) {
    if (types[slot].type == type) return types[slot].dtype;
  }
  return -1;
}

int shim_reduction(shim_word op) {
  for (size_t i = 0; i < OP_COUNT; ++i) {
    if (ops[i] == op) return named_ops[i].reduction;
  }
  return SHIM_OF_THE_PROGRAM;
}

/* Until the process ends: a library that is looked into must not go. */
static void* already_loaded(const char* name) { return dlopen(name, RTLD_LAZY | RTLD_NOLOAD); }

const char* shim_object_of(const void* address) {
  Dl_info info;
  return dladdr(address, &info) != 0 ? info.dli_fname : NULL;
}

void* shim_find(const char* name, const void* caller) {
  static const char* const libraries[] = {"libmpi.so.40", "libmpi.so.12", "libmpich.so.12"};
  void* found = dlsym(RTLD_NEXT, name);
  if (found != NULL) return found;
  const char* const object = shim_object_of(caller);
  void* handle = object != NULL ? already_loaded(object) : NULL;
  if (handle != NULL) found = dlsym(handle, name);
  for (size_t i = 0; found == NULL && i < sizeof libraries / sizeof *libraries; ++i) {
    handle = already_loaded(libraries[i]);
    if (handle != NULL) found = dlsym(handle, name);
  }
  return found;
}

/* Data of a library that all may see can lie in the program: what mpicc compiles has copies of the
 * handles that it names, as it is no position independent code, and the library uses these. */
static void* scope_of_data(void* library) {
  return dlsym(RTLD_DEFAULT, "PMPI_Init") == dlsym(library, "PMPI_Init") ? RTLD_DEFAULT : library;
}

static void set_open_mpi(void* library, struct shim_mpi* mpi) {
  void* const data = scope_of_data(library);
  mpi->family = SHIM_OPEN_MPI;
  mpi->handle_bytes = sizeof(void*);
  mpi->handle_mask = ~(shim_word)0;
  mpi->comm_world = (shim_word)dlsym(data, "ompi_mpi_comm_world");
  mpi->comm_self = (shim_word)dlsym(data, "ompi_mpi_comm_self");
  mpi->comm_null = (shim_word)dlsym(data, "ompi_mpi_comm_null");
  mpi->request_null = (shim_word)dlsym(data, "ompi_request_null");
  mpi->any_source = -1;
  mpi->proc_null = -2;
  mpi->in_place = 1;
  mpi->status_ignore = 0;
  mpi->status_bytes = 24;
  mpi->status_source = 0;
  mpi->status_error = 8;
  mpi->comm_f2c = (shim_word(*)(int))dlsym(library, "PMPI_Comm_f2c");
  mpi->type_f2c = (shim_word(*)(int))dlsym(library, "PMPI_Type_f2c");
  mpi->op_f2c = (shim_word(*)(int))dlsym(library, "PMPI_Op_f2c");
  mpi->request_f2c = (shim_word(*)(int))dlsym(library, "PMPI_Request_f2c");
  mpi->fortran_in_place = (shim_word)dlsym(data, "mpi_fortran_in_place_");
  for (size_t i = 0; i < TYPE_COUNT; ++i) {
    const shim_word type = (shim_word)dlsym(data, named_types[i].symbol);
    if (type != 0) add_type(type, named_types[i].dtype);
  }
  for (size_t i = 0; i < OP_COUNT; ++i) ops[i] = (shim_word)dlsym(data, named_ops[i].symbol);
}

static void set_mpich(struct shim_mpi* mpi) {
  mpi->family = SHIM_MPICH;
  mpi->handle_bytes = sizeof(int);
  mpi->handle_mask = UINT32_MAX;
  mpi->comm_world = 0x44000000;
  mpi->comm_self = 0x44000001;
  mpi->comm_null = 0x04000000;
  mpi->request_null = 0x2c000000;
  mpi->any_source = -2;
  mpi->proc_null = -1;
  mpi->in_place = ~(shim_word)0;
  mpi->status_ignore = 1;
  mpi->status_bytes = 20;
  mpi->status_source = 8;
  mpi->status_error = 16;
  for (size_t i = 0; i < TYPE_COUNT; ++i) add_type(named_types[i].number, named_types[i].dtype);
  for (size_t i = 0; i < OP_COUNT; ++i) ops[i] = named_ops[i].number;
}

/* By its own words, of the ABI that MPICH, Intel MPI, MVAPICH and Cray MPICH have agreed upon. */
static bool says_mpich(void* library) {
  static const char* const names[] = {"MPICH", "Intel(R) MPI", "MVAPICH"};
  int (*const version)(char*, int*) =
      (int (*)(char*, int*))dlsym(library, "PMPI_Get_library_version");
  char text[8192] = ""; /* MPICH's limit; that of Open MPI is 256 */
  int length = 0;
  if (version == NULL || version(text, &length) != SHIM_OK) return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    if (strstr(text, names[i]) != NULL) return true;
  }
  return false;
}

bool shim_meet(const void* caller, struct shim_mpi* mpi) {
  const char* const object = shim_object_of(shim_find("PMPI_Init", caller));
  void* const library = object != NULL ? already_loaded(object) : NULL;
  if (library == NULL) return false;
#define SHIM_LOOK_UP(name, parameters)                          \
  mpi->name = (int(*) parameters)dlsym(library, "PMPI_" #name); \
  if (mpi->name == NULL) return false;
  SHIM_USED_FUNCTIONS(SHIM_LOOK_UP)
#undef SHIM_LOOK_UP
  mpi->undefined = -32766;
  if (dlsym(library, "ompi_mpi_comm_world") != NULL) {
    set_open_mpi(library, mpi);
    return true;
  }
  if (!says_mpich(library)) return false;
  set_mpich(mpi);
  return true;
}
