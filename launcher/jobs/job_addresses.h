// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#ifndef LOCKSTEP_LAUNCHER_JOBS_JOB_ADDRESSES_H_
#define LOCKSTEP_LAUNCHER_JOBS_JOB_ADDRESSES_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "runtime/base/ids.h"

/// By what names a job is found on its host, by its agent and by the verbs. A job id has no dot in
/// it, so no two jobs' names can be confused. Pure functions, for any thread.
namespace lockstep::launcher {

/// Where the agent of a job answers verbs, and where its ranks attach. Every file in the socket
/// directory that belongs to a job begins with its id and a dot.
std::string ControlSocketPath(const std::string& socket_directory, const std::string& job_id);
std::string AttachSocketPath(const std::string& socket_directory, const std::string& job_id);

/// The folder in it of a simulated host of the job, with the sockets of the agent there; every such
/// folder's name begins with the prefix, and nobody else's does. Short, for paths of sockets must
/// be.
std::string SimulatedSocketFolder(const std::string& socket_directory, const std::string& job_id,
                                  base::NodeIndex node);
std::string SimulatedSocketPrefix(const std::string& job_id);

/// The folder of what a job's MPI shares and keeps on this machine, in memory: where anybody may
/// make folders, hence with the user's number.
std::string MpiFolder(uid_t user, const std::string& job_id);

/// The longest name of such a file: a job's name of 63 bytes, a dash, six characters, ".attach".
inline constexpr size_t kSocketNameBytesMax = 63 + 1 + 6 + 7;

/// What marks each process of a job in its environment (process::RealProcesses).
std::string JobMark(const std::string& job_id);
/// The same for process::KillMarked: matches no other job, also none whose id begins with this one.
std::string JobMarkPrefix(const std::string& job_id);

}  // namespace lockstep::launcher

#endif  // LOCKSTEP_LAUNCHER_JOBS_JOB_ADDRESSES_H_
