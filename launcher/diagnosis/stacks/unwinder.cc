// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/unwinder.h"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

// Names come from the program's files: templates make them long, and a file may hold anything.
constexpr size_t kNameColumns = 160;
constexpr size_t kManglingMax = 4096;

char* no_debug_path = nullptr;  // the default: beside the file, and /usr/lib/debug
const Dwfl_Callbacks kCallbacks = {.find_elf = dwfl_linux_proc_find_elf,
                                   .find_debuginfo = dwfl_standard_find_debuginfo,
                                   .section_address = nullptr,
                                   .debuginfo_path = &no_debug_path};

std::string Clean(std::string_view text) { return ClipLine(CleanText(text), kNameColumns); }

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string Hexadecimal(uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
  return text;
}

std::string Demangled(const char* symbol) {
  const std::string_view name(symbol, strnlen(symbol, kManglingMax));
  // Without the version: "__libc_start_main@@GLIBC_2.34".
  if (!name.starts_with("_Z") || name.size() == kManglingMax)
    return Clean(name.substr(0, name.find('@')));
  int status = 0;
  const std::string mangled(name.substr(0, name.find('@')));
  char* const demangled = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  std::string text = Clean(demangled != nullptr ? demangled : mangled);
  std::free(demangled);
  return text;
}

struct Walk {
  size_t frames_max = 0;
  Unwinder::Time deadline;
  Unwinder::Stack stack;
};

int OnFrame(Dwfl_Frame* frame, void* argument) {
  Walk& walk = *static_cast<Walk*>(argument);
  if (walk.stack.addresses.size() >= walk.frames_max) {
    walk.stack.problem = "further frames are left out";
    return DWARF_CB_ABORT;
  }
  if (std::chrono::steady_clock::now() >= walk.deadline) {
    walk.stack.problem = "no time was left for further frames";
    return DWARF_CB_ABORT;
  }
  Dwarf_Addr address = 0;
  bool is_innermost = false;
  if (!dwfl_frame_pc(frame, &address, &is_innermost)) {
    walk.stack.problem = dwfl_errmsg(-1);
    return DWARF_CB_ABORT;
  }
  // A return address may be that of the function after: what has been called is before it.
  walk.stack.addresses.push_back(is_innermost || address == 0 ? address : address - 1);
  return DWARF_CB_OK;
}

}  // namespace

base::Result<std::unique_ptr<Unwinder>> Unwinder::Create(pid_t pid) {
  std::unique_ptr<Unwinder> unwinder(new Unwinder(dwfl_begin(&kCallbacks)));
  const std::string what = "reading the stacks of process " + std::to_string(pid) + ": ";
  if (unwinder->dwfl_ == nullptr) return base::UnavailableError(what + dwfl_errmsg(-1));
  const int reported = dwfl_linux_proc_report(unwinder->dwfl_, pid);
  if (reported != 0) {
    return base::UnavailableError(
        what + "what it has mapped: " + (reported > 0 ? std::strerror(reported) : dwfl_errmsg(-1)));
  }
  if (dwfl_report_end(unwinder->dwfl_, nullptr, nullptr) != 0)
    return base::UnavailableError(what + dwfl_errmsg(-1));
  // Ours to hold, not the library's: it would do so by signals.
  const int attached = dwfl_linux_proc_attach(unwinder->dwfl_, pid, true);
  if (attached != 0) {
    return base::UnavailableError(
        what + "its program: " + (attached > 0 ? std::strerror(attached) : dwfl_errmsg(-1)));
  }
  return unwinder;
}

Unwinder::~Unwinder() {
  if (dwfl_ != nullptr) dwfl_end(dwfl_);
}

Unwinder::Stack Unwinder::Unwind(pid_t tid, size_t frames_max, Time deadline) {
  Walk walk{.frames_max = frames_max, .deadline = deadline, .stack = {}};
  const int walked = dwfl_getthread_frames(dwfl_, tid, OnFrame, &walk);
  // The outermost frame has no caller, which some code does not say.
  if (walked == -1) walk.stack.problem = dwfl_errmsg(-1);
  return std::move(walk.stack);
}

proto::Frame Unwinder::Describe(uint64_t address) {
  proto::Frame frame;
  frame.set_address(Hexadecimal(address));
  Dwfl_Module* const module = dwfl_addrmodule(dwfl_, address);
  if (module == nullptr) return frame;
  Dwarf_Addr begin = 0;
  const char* const path =
      dwfl_module_info(module, nullptr, &begin, nullptr, nullptr, nullptr, nullptr, nullptr);
  if (path != nullptr) frame.set_module(Clean(FileName(path)));
  frame.set_offset(Hexadecimal(address - begin));
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* const name =
      dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
  if (name != nullptr) frame.set_function(Demangled(name));
  Dwfl_Line* const line = dwfl_module_getsrc(module, address);
  int number = 0;
  const char* const file =
      line == nullptr ? nullptr : dwfl_lineinfo(line, nullptr, &number, nullptr, nullptr, nullptr);
  if (file != nullptr) {
    frame.set_file(Clean(file));
    frame.set_line(number);
  }
  return frame;
}

}  // namespace lockstep::launcher
