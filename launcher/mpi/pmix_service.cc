// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/mpi/pmix_service.h"

#include <stdlib.h>
#include <unistd.h>

#include <future>
#include <string_view>
#include <vector>

namespace lockstep::launcher {
namespace {

constexpr std::string_view kRankVariable = "PMIX_RANK=";

std::string Failure(const std::string& call, pmix_status_t status) {
  return call + ": " + PMIx_Error_string(status);
}

/// Waits for a call that ends on a thread of the library's. Its own limits hold: it waits for
/// nobody outside this process.
class Operation {
 public:
  static void OnDone(pmix_status_t status, void* self) {
    static_cast<Operation*>(self)->ended_.set_value(status);
  }
  /// `begun` is what the call returned.
  pmix_status_t Wait(pmix_status_t begun) {
    if (begun == PMIX_OPERATION_SUCCEEDED) return PMIX_SUCCESS;
    return begun == PMIX_SUCCESS ? ended_.get_future().get() : begun;
  }

 private:
  std::promise<pmix_status_t> ended_;
};

/// What a call of libpmix is told: an array that owns copies of what is added.
class InfoList {
 public:
  ~InfoList() {
    for (pmix_info_t& info : list_) PMIX_INFO_DESTRUCT(&info);
  }
  void Add(const char* key, const void* value, pmix_data_type_t type) {
    list_.emplace_back();
    PMIX_INFO_LOAD(&list_.back(), key, value, type);
  }
  void Add(const char* key, const std::string& text) { Add(key, text.c_str(), PMIX_STRING); }
  void AddCount(const char* key, uint32_t count) { Add(key, &count, PMIX_UINT32); }
  void AddSmallCount(const char* key, uint16_t count) { Add(key, &count, PMIX_UINT16); }
  void AddRank(const char* key, pmix_rank_t rank) { Add(key, &rank, PMIX_PROC_RANK); }
  void AddList(const char* key, InfoList& list) {
    pmix_data_array_t array{.type = PMIX_INFO, .size = list.size(), .array = list.data()};
    Add(key, &array, PMIX_DATA_ARRAY);
  }
  pmix_info_t* data() { return list_.data(); }
  size_t size() const { return list_.size(); }

 private:
  std::vector<pmix_info_t> list_;
};

/// "0,1,2".
std::string AllRanks(int count) {
  std::string ranks;
  for (int rank = 0; rank < count; ++rank) ranks += (rank > 0 ? "," : "") + std::to_string(rank);
  return ranks;
}

void AddRankData(const proto::PmixRound& round, int number, InfoList& info) {
  const auto rank = static_cast<pmix_rank_t>(number);
  InfoList facts;
  facts.AddRank(PMIX_RANK, rank);
  facts.AddRank(PMIX_GLOBAL_RANK, rank);
  facts.AddRank(PMIX_APP_RANK, rank);
  facts.AddRank(PMIX_APPLDR, 0);
  facts.AddCount(PMIX_APPNUM, 0);
  facts.AddSmallCount(PMIX_LOCAL_RANK, static_cast<uint16_t>(number));
  facts.AddSmallCount(PMIX_NODE_RANK, static_cast<uint16_t>(number));
  facts.AddCount(PMIX_NODEID, 0);
  facts.Add(PMIX_HOSTNAME, round.host());
  info.AddList(PMIX_PROC_DATA, facts);
}

}  // namespace

PmixService::~PmixService() {
  EndRound();
  if (is_open_) PMIx_server_finalize();
}

pmix_status_t PmixService::OnConnected(const pmix_proc_t*, void*, pmix_info_t*, size_t,
                                       pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t PmixService::OnFinalized(const pmix_proc_t*, void*, pmix_op_cbfunc_t, void*) {
  return PMIX_OPERATION_SUCCEEDED;
}

/// The others are ended by the agent, when the rank has ended with that code.
pmix_status_t PmixService::OnAborted(const pmix_proc_t* rank, void* self, int code, const char[],
                                     pmix_proc_t[], size_t, pmix_op_cbfunc_t, void*) {
  if (self != nullptr)
    static_cast<PmixService*>(self)->on_abort_(static_cast<int>(rank->rank), code);
  return PMIX_OPERATION_SUCCEEDED;
}

/// All ranks are here, and what each has put the library has collected: there is nobody to ask.
pmix_status_t PmixService::OnFence(const pmix_proc_t*, size_t, const pmix_info_t*, size_t,
                                   char* data, size_t bytes, pmix_modex_cbfunc_t done,
                                   void* context) {
  done(PMIX_SUCCESS, data, bytes, context, nullptr, nullptr);
  return PMIX_SUCCESS;
}

/// Of ranks elsewhere, which there are none of.
pmix_status_t PmixService::OnDirectModex(const pmix_proc_t*, const pmix_info_t*, size_t,
                                         pmix_modex_cbfunc_t, void*) {
  return PMIX_ERR_NOT_FOUND;
}

std::string PmixService::Open(const std::string& folder) {
  module_.client_connected2 = OnConnected;
  module_.client_finalized = OnFinalized;
  module_.abort = OnAborted;
  module_.fence_nb = OnFence;
  module_.direct_modex = OnDirectModex;
  InfoList info;
  info.Add(PMIX_SERVER_TMPDIR, folder);
  info.Add(PMIX_SYSTEM_TMPDIR, folder);
  info.Add(PMIX_SERVER_NSPACE, "lockstep-pmix-" + std::to_string(::getpid()));
  info.AddRank(PMIX_SERVER_RANK, 0);
  const pmix_status_t status = PMIx_server_init(&module_, info.data(), info.size());
  is_open_ = status == PMIX_SUCCESS;
  return is_open_ ? "" : Failure("PMIx_server_init", status);
}

proto::PmixReply PmixService::BeginRound(const proto::PmixRound& round) {
  EndRound();
  proto::PmixReply reply;
  std::string why = RegisterNamespace(round);
  if (why.empty()) why = RegisterRanks(round);
  if (why.empty()) why = ReadVariables(round, reply.mutable_ready());
  if (!why.empty()) reply.mutable_failed()->set_why(why);
  return reply;
}

std::string PmixService::RegisterNamespace(const proto::PmixRound& round) {
  const auto count = static_cast<uint32_t>(round.rank_count());
  const std::string ranks = AllRanks(round.rank_count());
  char* node_map = nullptr;
  char* rank_map = nullptr;
  PMIx_generate_regex(round.host().c_str(), &node_map);
  PMIx_generate_ppn(ranks.c_str(), &rank_map);
  InfoList info;
  info.Add(PMIX_JOBID, round.namespace_());
  for (const char* size :
       {PMIX_JOB_SIZE, PMIX_UNIV_SIZE, PMIX_MAX_PROCS, PMIX_LOCAL_SIZE, PMIX_NODE_SIZE})
    info.AddCount(size, count);
  info.AddCount(PMIX_NUM_NODES, 1);
  info.AddCount(PMIX_JOB_NUM_APPS, 1);
  info.Add(PMIX_NODE_MAP, node_map == nullptr ? "" : node_map);
  info.Add(PMIX_PROC_MAP, rank_map == nullptr ? "" : rank_map);
  info.Add(PMIX_LOCAL_PEERS, ranks);
  info.AddRank(PMIX_LOCALLDR, 0);
  info.Add(PMIX_TMPDIR, round.folder());
  info.Add(PMIX_NSDIR, round.folder());
  for (int rank = 0; rank < round.rank_count(); ++rank) AddRankData(round, rank, info);
  ::free(node_map);
  ::free(rank_map);
  Operation registered;
  const pmix_status_t status = registered.Wait(
      PMIx_server_register_nspace(round.namespace_().c_str(), round.rank_count(), info.data(),
                                  info.size(), Operation::OnDone, &registered));
  if (status != PMIX_SUCCESS) return Failure("PMIx_server_register_nspace", status);
  namespace_ = round.namespace_();
  return "";
}

std::string PmixService::RegisterRanks(const proto::PmixRound& round) {
  for (int rank = 0; rank < round.rank_count(); ++rank) {
    pmix_proc_t process;
    PMIX_LOAD_PROCID(&process, namespace_.c_str(), static_cast<pmix_rank_t>(rank));
    Operation registered;
    const pmix_status_t status = registered.Wait(PMIx_server_register_client(
        &process, ::getuid(), ::getgid(), this, Operation::OnDone, &registered));
    if (status != PMIX_SUCCESS) return Failure("PMIx_server_register_client", status);
  }
  return "";
}

std::string PmixService::ReadVariables(const proto::PmixRound& round,
                                       proto::PmixReady* ready) const {
  pmix_proc_t process;
  PMIX_LOAD_PROCID(&process, round.namespace_().c_str(), 0);
  char** variables = nullptr;
  const pmix_status_t status = PMIx_server_setup_fork(&process, &variables);
  if (status != PMIX_SUCCESS) return Failure("PMIx_server_setup_fork", status);
  for (char** variable = variables; variable != nullptr && *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with(kRankVariable)) ready->add_variables(*variable);
    ::free(*variable);
  }
  ::free(variables);
  return "";
}

void PmixService::EndRound() {
  if (namespace_.empty()) return;
  Operation removed;
  PMIx_server_deregister_nspace(namespace_.c_str(), Operation::OnDone, &removed);
  (void)removed.Wait(PMIX_SUCCESS);  // nothing is to be done about a namespace that stays
  namespace_.clear();
}

}  // namespace lockstep::launcher
