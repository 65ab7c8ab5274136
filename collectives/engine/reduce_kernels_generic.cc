// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#define LOCKSTEP_KERNELS kernels_generic
#include "collectives/engine/reduce_kernels_impl.h"
