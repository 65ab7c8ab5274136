// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/capabilities.h"

namespace lockstep::collectives {

base::Status Capabilities::Check(OpKind kind, Dtype dtype, Reduction reduction) const {
  const bool reduces = Reduces(kind);
  const bool moves_data = kind != OpKind::kBarrier;
  if (Has(kind) && (!moves_data || (reduces ? Has(dtype, reduction) : Has(dtype))))
    return base::OkStatus();
  std::string text = "backend " + backend + " has no " + std::string(OpKindName(kind));
  if (moves_data) text += " of " + std::string(DtypeName(dtype));
  if (reduces) text += " with " + std::string(ReductionName(reduction));
  return base::UnimplementedError(std::move(text));
}

}  // namespace lockstep::collectives
