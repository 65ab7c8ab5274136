// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/logging.h"

#include <pthread.h>

#include <chrono>
#include <mutex>

#include "runtime/base/clock.h"

namespace lockstep::base {
namespace {

std::mutex& IdentityMutex() {
  static auto* mutex = new std::mutex;  // leaked: log lines come from exit handlers too
  return *mutex;
}

std::string& IdentityText() {
  static auto* text = new std::string;
  return *text;
}

void WritePrefix(std::ostream& out, const google::LogMessageInfo& info, void*) {
  char thread_name[16] = "?";
  ::pthread_getname_np(::pthread_self(), thread_name, sizeof thread_name);
  out << info.severity[0] << ' ' << FormatUtc(std::chrono::system_clock::now()) << ' ';
  {
    std::lock_guard lock(IdentityMutex());
    out << IdentityText();
  }
  out << ' ' << thread_name << ' ' << info.filename << ':' << info.line_number << ']';
}

}  // namespace

void InitLogging(const char* program, LogIdentity identity) {
  SetLogIdentity(std::move(identity));
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(program, &WritePrefix, nullptr);
}

void SetLogIdentity(LogIdentity identity) {
  std::lock_guard lock(IdentityMutex());
  IdentityText() = identity.job.empty() ? identity.role : identity.job + "/" + identity.role;
}

}  // namespace lockstep::base
