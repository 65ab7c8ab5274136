// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_COLLECTIVES_ENGINE_ALONE_BACKEND_H_
#define LOCKSTEP_COLLECTIVES_ENGINE_ALONE_BACKEND_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "collectives/engine/backend.h"

namespace lockstep::collectives {

/// The backend of a group of one, in main memory: collectives are copies, and sends wait in memory
/// for the receive that they meet. As with other members, the first error is the last word.
class AloneBackend final : public Backend {
 public:
  explicit AloneBackend(std::string group_name);

  const Capabilities& capabilities() const override { return capabilities_; }
  base::Status Run(const Op& op, base::OpSeq seq, const OpWatch& watch) override;
  bool Advance(Moving& moving) override;
  void AwaitTransfers(base::Duration at_most) override;
  base::Status Fail(const base::Status& error, const std::vector<int>& blamed) override;
  void Poison(const base::Status& reason) override;
  void Interrupt() override {}
  void DeclareLongPhase(base::Duration) override {}
  base::Result<std::shared_ptr<SharedBuffer>> AllocBuffer(size_t bytes,
                                                          const OpDeadline& deadline) override;
  std::string Explain(OpKind kind, Dtype dtype, size_t count) const override;

 private:
  base::Status Aborted() const;

  const std::string group_name_;
  const Capabilities capabilities_;
  std::mutex mutex_;
  base::Status error_;                                         // guarded by mutex_
  std::deque<std::pair<Dtype, std::vector<std::byte>>> sent_;  // confined to Advance's thread
};

}  // namespace lockstep::collectives

#endif  // LOCKSTEP_COLLECTIVES_ENGINE_ALONE_BACKEND_H_
