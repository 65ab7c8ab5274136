// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#define LOCKSTEP_CONVERSIONS conversions_avx512
#include "collectives/gradient/half_precision_impl.h"
