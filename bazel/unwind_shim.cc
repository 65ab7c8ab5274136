// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// Debian's libglog.a wants four symbols of libunwind, whose archive is not position independent and
// so cannot be linked into a PIE. These stand in for them, over the compiler's own unwinder; crash
// dumps still show frames. Needed for libgoogle-glog-dev 0.6.0 with libunwind-dev 1.6.2; Source:
// linking cc_app without this file.
#include <unwind.h>

#include <cstdint>

namespace {

constexpr uintptr_t kFramesMax = 120;  // unw_cursor_t, which glog hands us as storage, is 127 words

struct Cursor {
  uintptr_t frame_count;
  uintptr_t position;
  uintptr_t instruction_pointers[kFramesMax];
};

_Unwind_Reason_Code AddFrame(_Unwind_Context* context, void* argument) {
  auto* cursor = static_cast<Cursor*>(argument);
  if (cursor->frame_count == kFramesMax) return _URC_END_OF_STACK;
  cursor->instruction_pointers[cursor->frame_count++] = _Unwind_GetIP(context);
  return _URC_NO_REASON;
}

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

int _Ux86_64_getcontext(void*) { return 0; }

int _ULx86_64_init_local(void* storage, void*) {
  auto* cursor = static_cast<Cursor*>(storage);
  cursor->frame_count = 0;
  cursor->position = 1;  // skip this function's own frame
  _Unwind_Backtrace(AddFrame, cursor);
  return 0;
}

int _ULx86_64_step(void* storage) {
  auto* cursor = static_cast<Cursor*>(storage);
  return ++cursor->position < cursor->frame_count ? 1 : 0;
}

int _ULx86_64_get_reg(void* storage, int, uintptr_t* value) {
  auto* cursor = static_cast<Cursor*>(storage);
  *value =
      cursor->position < cursor->frame_count ? cursor->instruction_pointers[cursor->position] : 0;
  return 0;
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
