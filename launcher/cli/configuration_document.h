// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_CLI_CONFIGURATION_DOCUMENT_H_
#define LOCKSTEP_LAUNCHER_CLI_CONFIGURATION_DOCUMENT_H_

#include <google/protobuf/descriptor.pb.h>

#include <string>

#include "runtime/base/result.h"

namespace lockstep::launcher {

/// docs/configuration.md: every field of a job from job.proto's comments and rules, every flag of
/// `lockstep run` and `lockstep bench` from its table. `sources` is what `protoc
/// --include_source_info --descriptor_set_out` makes of job.proto. A pure function. Errors:
/// InvalidArgument - `sources` does not hold job.proto; FailedPrecondition - a field has no comment
/// (named).
base::Result<std::string> ConfigurationDocument(const google::protobuf::FileDescriptorSet& sources);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_CLI_CONFIGURATION_DOCUMENT_H_
