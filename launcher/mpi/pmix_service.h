// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_MPI_PMIX_SERVICE_H_
#define LOCKSTEP_LAUNCHER_MPI_PMIX_SERVICE_H_

#include <pmix.h>
#include <pmix_server.h>

#include <functional>
#include <memory>
#include <string>

#include "runtime/proto/pmix.pb.h"

namespace lockstep::launcher {

/// libpmix's server for the ranks of one job on this machine, in a process of its own
/// (lockstep-pmix): the library has threads and may die, neither of which an agent may. One per
/// process, as the library wants it. Confined to one thread, but for on_abort.
class PmixService {
 public:
  /// Called on a thread of libpmix's, for a rank that has called MPI_Abort.
  using OnAbort = std::function<void(int rank, int code)>;

  explicit PmixService(OnAbort on_abort) : on_abort_(std::move(on_abort)) {}
  ~PmixService();
  PmixService(const PmixService&) = delete;
  PmixService& operator=(const PmixService&) = delete;

  /// `folder` is for files of the library. Returns "", or what went wrong.
  std::string Open(const std::string& folder);
  /// Ready, or failed. A round that was begun before is over.
  proto::PmixReply BeginRound(const proto::PmixRound& round);
  /// Removes what Open MPI's ranks of the round have left in shared memory.
  void EndRound();

 private:
  static pmix_status_t OnConnected(const pmix_proc_t*, void*, pmix_info_t*, size_t,
                                   pmix_op_cbfunc_t, void*);
  static pmix_status_t OnFinalized(const pmix_proc_t*, void*, pmix_op_cbfunc_t, void*);
  static pmix_status_t OnAborted(const pmix_proc_t* rank, void* self, int code, const char[],
                                 pmix_proc_t[], size_t, pmix_op_cbfunc_t, void*);
  static pmix_status_t OnFence(const pmix_proc_t*, size_t, const pmix_info_t*, size_t, char* data,
                               size_t bytes, pmix_modex_cbfunc_t done, void* context);
  static pmix_status_t OnDirectModex(const pmix_proc_t*, const pmix_info_t*, size_t,
                                     pmix_modex_cbfunc_t, void*);

  std::string RegisterNamespace(const proto::PmixRound& round);
  std::string RegisterRanks(const proto::PmixRound& round);
  std::string ReadVariables(const proto::PmixRound& round, proto::PmixReady* ready) const;

  const OnAbort on_abort_;
  pmix_server_module_t module_{};
  bool is_open_ = false;
  std::string namespace_;  // of the round that runs; "" between rounds
};

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_MPI_PMIX_SERVICE_H_
