// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
/* What a C compiler makes of the layout, for attach_wire_test to compare with what a C++ compiler
 * makes of it. */
#include "runtime/attach/attach_wire_layout_check.h"

#include <stddef.h>

#include "runtime/attach/attach_wire.h"

const size_t lockstep_attach_c_layout[] = {LOCKSTEP_ATTACH_LAYOUT};
const size_t lockstep_attach_c_layout_count =
    sizeof lockstep_attach_c_layout / sizeof lockstep_attach_c_layout[0];
