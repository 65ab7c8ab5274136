// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_SHIM_CALL_SITE_H_
#define LOCKSTEP_COLLECTIVES_SHIM_CALL_SITE_H_

/* "train+0x1234": the object in which a call returns to `address`, and where in it the call is, as
 * addr2line takes it. Of static storage, the same pointer for the same address. Any thread; some ns
 * but for the first time. */
const char* shim_call_site(const void* address);

#endif /* LOCKSTEP_COLLECTIVES_SHIM_CALL_SITE_H_ */
