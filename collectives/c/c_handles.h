// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_C_C_HANDLES_H_
#define LOCKSTEP_COLLECTIVES_C_C_HANDLES_H_

#include <memory>

#include "collectives/c/lockstep_collectives.h"
#include "collectives/group.h"
#include "runtime/base/status.h"

/// What stands behind the opaque types of the C interface.
struct lockstep_group {
  std::shared_ptr<lockstep::collectives::Group> group;
};
struct lockstep_work {
  std::shared_ptr<lockstep::collectives::Work> work;
};
struct lockstep_shared_buffer {
  std::shared_ptr<lockstep::collectives::SharedBuffer> buffer;
};
struct lockstep_registration {
  std::unique_ptr<lockstep::collectives::Registration> registration;
};
struct lockstep_long_phase {
  std::shared_ptr<lockstep::collectives::Group> group;
  lockstep::collectives::LongPhase phase;
};

namespace lockstep::collectives {

/// Fills `out`, unless null, and returns the code. It is what this thread was told last, as
/// lockstep_last_blamed has it.
int32_t ToC(const base::Status& status, lockstep_status* out);

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_C_C_HANDLES_H_
