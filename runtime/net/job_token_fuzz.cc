// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
//
// What may be in a token file, and job ids. The first byte says how long the job id is, then comes
// that, then the file. A token is the file without the line ends at its end, or refused; a key
// depends on token and job, and its identity on the job alone.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "runtime/base/unique_fd.h"
#include "runtime/net/job_token.h"

namespace {

using namespace lockstep::net;

void Require(bool holds) {
  if (!holds) ::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string job(rest.substr(0, data[0] % 64));
  rest.remove_prefix(job.size());
  const lockstep::base::UniqueFd file(::memfd_create("token", MFD_CLOEXEC));
  if (!file.valid() || ::fchmod(file.get(), 0600) != 0) return 0;
  if (::write(file.get(), rest.data(), rest.size()) != static_cast<ssize_t>(rest.size())) return 0;

  const auto token = ReadTokenFile("/proc/self/fd/" + std::to_string(file.get()));

  const size_t end = rest.find_last_not_of("\r\n");
  const std::string_view content = rest.substr(0, end == rest.npos ? 0 : end + 1);
  Require(token.ok() == (content.size() >= kTokenBytesMin && rest.size() <= kTokenBytesMax));
  if (!token.ok() || job.empty()) return 0;
  Require(token->view() == content);
  const JobKey key = DeriveJobKey(*token, job);
  const JobKey other_job = DeriveJobKey(*token, job + "x");
  const JobKey other_token = DeriveJobKey(Secret(std::string(content) + "x"), job);
  Require(key.key.view() == DeriveJobKey(*token, job).key.view());
  Require(key.key.view() != other_job.key.view() && key.identity != other_job.identity);
  Require(key.key.view() != other_token.key.view() && key.identity == other_token.identity);
  return 0;
}
