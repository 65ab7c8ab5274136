// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/diagnosis/stacks/gpu_looks.h"

#include <dlfcn.h>
#include <sys/auxv.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "launcher/verdict/clean_text.h"

namespace lockstep::launcher {
namespace {

// ------------------------------------------------------------------------------ what nvml.h says

// Declared here, since a machine that builds has no NVIDIA driver. The values have been the same
// since NVML 11; every function is looked up by its name, and may be absent.
using Device = void*;
constexpr int kSuccess = 0;
constexpr int kGpuIsLost = 15;
constexpr int kResetRequired = 16;
constexpr int kUncorrected = 1;      // nvmlMemoryErrorType_t
constexpr int kSinceDriverLoad = 0;  // nvmlEccCounterType_t
constexpr unsigned kNameBytes = 96;
constexpr unsigned kGpusMax = 64;
constexpr unsigned kProcessesMax = 256;

struct
    ProcessInfo {  // nvmlProcessInfo_v2_t, as nvmlDeviceGetComputeRunningProcesses_v3 fills it in
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance;
  unsigned compute_instance;
};
struct Utilization {
  unsigned gpu;  // percent of the last moment in which a kernel ran
  unsigned memory;
};

/// Why a GPU runs slower than it could, where that is nobody's wish.
struct Throttle {
  unsigned long long bit;
  const char* text;
};
constexpr Throttle kThrottles[] = {
    {0x08, "the hardware slows it down"},
    {0x20, "it is slowed down since it is hot"},
    {0x40, "the hardware slows it down since it is hot"},
    {0x80, "the hardware slows it down since its power supply asks for it"},
};

// ---------------------------------------------------------------------------------- the library

bool IsStatic() { return getauxval(AT_BASE) == 0; }

/// NVML, started; nothing where it is absent. Stays loaded: it has threads of its own.
class Nvml {
 public:
  explicit Nvml(const std::string& file) {
    if (IsStatic()) return;
    library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    works_ = library_ != nullptr && Call("nvmlInit_v2");
  }
  ~Nvml() {
    if (works_) Call("nvmlShutdown");
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  bool works() const { return works_; }

  /// What it returns; `absent` where this NVML has no such function.
  template <class... Arguments>
  int Code(const char* name, Arguments... arguments) const {
    using Function = int (*)(Arguments...);
    const auto function = reinterpret_cast<Function>(dlsym(library_, name));
    constexpr int kAbsent = 13;  // NVML_ERROR_FUNCTION_NOT_FOUND
    return function == nullptr ? kAbsent : function(arguments...);
  }
  template <class... Arguments>
  bool Call(const char* name, Arguments... arguments) const {
    return Code(name, arguments...) == kSuccess;
  }

 private:
  void* library_ = nullptr;
  bool works_ = false;
};

// -------------------------------------------------------------------------------------- one GPU

std::string NameOf(const Nvml& nvml, Device device) {
  char name[kNameBytes] = "";
  if (!nvml.Call("nvmlDeviceGetName", device, +name, kNameBytes)) return "";
  name[kNameBytes - 1] = '\0';
  return CleanText(name);
}

bool IsUsedBy(const Nvml& nvml, Device device, pid_t pid) {
  std::vector<ProcessInfo> infos(kProcessesMax);
  unsigned count = kProcessesMax;
  if (!nvml.Call("nvmlDeviceGetComputeRunningProcesses_v3", device, &count, infos.data()))
    return false;
  infos.resize(std::min(count, kProcessesMax));
  return std::any_of(infos.begin(), infos.end(), [&](const ProcessInfo& info) {
    return info.pid == static_cast<unsigned>(pid);
  });
}

void AddMemoryFaults(const Nvml& nvml, Device device, proto::GpuState& gpu) {
  unsigned long long errors = 0;
  if (nvml.Call("nvmlDeviceGetTotalEccErrors", device, kUncorrected, kSinceDriverLoad, &errors) &&
      errors > 0) {
    gpu.add_faults(std::to_string(errors) +
                   " memory errors that could not be corrected, since the driver was loaded");
  }
  unsigned corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (nvml.Call("nvmlDeviceGetRemappedRows", device, &corrected, &uncorrected, &pending, &failed)) {
    if (failed != 0) gpu.add_faults("rows of its memory could not be replaced");
    if (pending != 0) gpu.add_faults("rows of its memory are to be replaced: it needs a reset");
  }
  int retiring = 0;
  if (nvml.Call("nvmlDeviceGetRetiredPagesPendingStatus", device, &retiring) && retiring != 0)
    gpu.add_faults("pages of its memory are to be retired: the driver must be loaded anew");
}

void AddThrottles(const Nvml& nvml, Device device, proto::GpuState& gpu) {
  unsigned long long reasons = 0;
  if (!nvml.Call("nvmlDeviceGetCurrentClocksThrottleReasons", device, &reasons)) return;
  for (const Throttle& throttle : kThrottles) {
    if ((reasons & throttle.bit) == 0) continue;
    unsigned degrees = 0;
    constexpr int kOfTheChip = 0;
    std::string text = throttle.text;
    if (nvml.Call("nvmlDeviceGetTemperature", device, kOfTheChip, &degrees))
      text += " (" + std::to_string(degrees) + " C)";
    gpu.add_faults(std::move(text));
  }
}

/// NVML says so of a GPU that has fallen off its bus at whatever is asked first.
bool AddLoss(int code, proto::GpuState& gpu) {
  if (code == kGpuIsLost) gpu.add_faults("it is lost: it has fallen off its bus (see dmesg)");
  if (code == kResetRequired) gpu.add_faults("it needs a reset before it computes again");
  return code == kGpuIsLost || code == kResetRequired;
}

proto::GpuState LookAt(const Nvml& nvml, unsigned index, pid_t pid) {
  proto::GpuState gpu;
  gpu.set_index(static_cast<int>(index));
  Device device = nullptr;
  const int code = nvml.Code("nvmlDeviceGetHandleByIndex_v2", index, &device);
  if (AddLoss(code, gpu) || code != kSuccess) return gpu;
  gpu.set_name(NameOf(nvml, device));
  gpu.set_is_used(IsUsedBy(nvml, device, pid));
  Utilization busy{};
  const int busy_code = nvml.Code("nvmlDeviceGetUtilizationRates", device, &busy);
  if (AddLoss(busy_code, gpu)) return gpu;
  if (busy_code == kSuccess) gpu.set_busy_percent(static_cast<int>(std::min(busy.gpu, 100u)));
  AddMemoryFaults(nvml, device, gpu);
  AddThrottles(nvml, device, gpu);
  return gpu;
}

}  // namespace

void AddGpus(std::vector<proto::ProcessStacks>& seen, const std::string& nvml_file) {
  const Nvml nvml(nvml_file);
  unsigned count = 0;
  if (!nvml.works() || !nvml.Call("nvmlDeviceGetCount_v2", &count)) return;
  for (unsigned index = 0; index < std::min(count, kGpusMax); ++index) {
    for (proto::ProcessStacks& process : seen) {
      proto::GpuState gpu = LookAt(nvml, index, static_cast<pid_t>(process.pid()));
      if (gpu.is_used() || gpu.faults_size() > 0) *process.add_gpus() = std::move(gpu);
    }
  }
}

}  // namespace lockstep::launcher
