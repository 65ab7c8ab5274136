// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_DUMP_TEXT_H_
#define LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_DUMP_TEXT_H_

#include <cstdint>
#include <string>

namespace lockstep::launcher::testing {

/// What torch dumps of a rank of three, over NCCL: all_reduce 1 to `calls` of group 0, of which
/// `over` are over.
inline std::string DumpText(int calls, int over, int64_t created_ns, int elements = 4) {
  std::string entries;
  for (int call = 1; call <= calls; ++call) {
    const std::string sizes = "[[" + std::to_string(elements) + "]]";
    entries += (call > 1 ? "," : "") + std::string("{\"record_id\":") + std::to_string(call - 1) +
               ",\"collective_seq_id\":" + std::to_string(call) +
               ",\"process_group\":[\"0\",\"default_pg\"],\"profiling_name\":\"nccl:all_reduce\"," +
               "\"state\":\"" + (call <= over ? "completed" : "scheduled") +
               "\",\"input_sizes\":" + sizes + ",\"output_sizes\":" + sizes +
               ",\"input_dtypes\":[\"Float\"],\"output_dtypes\":[\"Float\"]," +
               "\"time_created_ns\":" + std::to_string(created_ns) + "}";
  }
  return R"({"version":"2.10","pg_config":{"0":{"name":"0","desc":"default_pg",)"
         R"("ranks":"[0, 1, 2]"}},"entries":[)" +
         entries + "]}";
}

}  // namespace lockstep::launcher::testing

#endif  // LOCKSTEP_LAUNCHER_DIAGNOSIS_TESTING_DUMP_TEXT_H_
