// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "runtime/base/logging.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>

#include "runtime/base/clock.h"

namespace lockstep::base {
namespace {

std::atomic<int> bug_count{0};

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

void SetThreadName(std::string_view name) {
  ::pthread_setname_np(::pthread_self(), std::string(name.substr(0, 15)).c_str());
}

void ReportBug(const char* file, int line, std::string_view message) {
  bug_count.fetch_add(1, std::memory_order_relaxed);
  google::LogMessage(file, line, google::GLOG_ERROR).stream() << "BUG: " << message;
  if (std::getenv("LOCKSTEP_ABORT_ON_BUG") != nullptr) std::abort();
}

int BugCount() { return bug_count.load(std::memory_order_relaxed); }

}  // namespace lockstep::base
