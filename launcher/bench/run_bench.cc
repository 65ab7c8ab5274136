// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "launcher/bench/run_bench.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "collectives/engine/host_capabilities.h"
#include "launcher/bench/bench_op.h"
#include "launcher/bench/choose_cores.h"
#include "launcher/bench/contenders.h"
#include "launcher/bench/cpu_pressure.h"
#include "launcher/bench/gang_stage.h"
#include "launcher/bench/json_report.h"
#include "launcher/bench/measure.h"
#include "launcher/bench/svg_plot.h"
#include "launcher/bench/text_report.h"
#include "launcher/version.h"
#include "runtime/base/clock.h"
#include "runtime/base/errno_status.h"

namespace lockstep::launcher {
namespace {

// A longer $TMPDIR leaves no room for names of sockets, ours and Open MPI's.
constexpr size_t kTemporaryBytesMax = 40;

std::string ValueOf(const topology::Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

bool IsOnPath(const std::string& program, const std::string& path) {
  for (size_t at = 0; at <= path.size();) {
    const size_t colon = std::min(path.find(':', at), path.size());
    const std::string file = path.substr(at, colon - at) + "/" + program;
    if (colon > at && ::access(file.c_str(), X_OK) == 0) return true;
    at = colon + 1;
  }
  return false;
}

/// A folder of this run's own, gone with it.
class ScratchFolder {
 public:
  static base::Result<std::unique_ptr<ScratchFolder>> Make(const std::string& temporary) {
    const bool fits = !temporary.empty() && temporary.size() <= kTemporaryBytesMax;
    std::string path = (fits ? temporary : "/tmp") + "/lockstep-bench-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr)
      return CannotWrite(base::ErrnoStatus(errno, "make the folder " + path));
    return std::unique_ptr<ScratchFolder>(new ScratchFolder(std::move(path)));
  }
  ~ScratchFolder() {
    std::error_code ignored;  // what cannot be removed is in a folder of temporary files
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

/// What gangs inherit: their jobs, sessions and sockets go into the run's own folder.
topology::Environment EnvironmentOfGangs(topology::Environment environment,
                                         const std::string& folder) {
  environment["LOCKSTEP_HOME"] = folder + "/home";
  environment["TMPDIR"] = folder;
  if (::geteuid() == 0) {
    environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
    environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  }
  return environment;
}

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  constexpr std::string_view kKey = "model name\t: ";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(kKey)) return line.substr(kKey.size());
  }
  return "unknown";
}

BenchMachine ThisMachine(const base::Clock& clock, const std::vector<int>& cpus) {
  utsname names{};
  ::uname(&names);
  return {.version = std::string(kVersion),
          .end_time = base::FormatUtc(clock.WallNow()),
          .cpu = CpuModel(),
          .kernel = names.release,
          .cores = static_cast<int>(AllowedCores().size()),
          .cpus = cpus};
}

base::Status CheckWritable(const std::string& path) {
  if (path.empty()) return base::OkStatus();
  // Before anything is measured. An older file stays until there is a new one.
  if (std::ofstream(path, std::ios::app)) return base::OkStatus();
  return CannotWrite(base::ErrnoStatus(errno, "write " + path));
}

base::Status WriteText(const std::string& path, const std::string& text) {
  if (path.empty()) return base::OkStatus();
  std::ofstream file(path, std::ios::trunc);
  if (file << text << std::flush) return base::OkStatus();
  return CannotWrite(base::ErrnoStatus(errno, "write " + path));
}

/// One run, from its contenders to its tables.
class BenchRun {
 public:
  BenchRun(const VerbContext& context, const BenchOptions& options,
           topology::Environment environment)
      : context_(context),
        options_(options),
        environment_(std::move(environment)),
        cpus_(ChooseCores(options.ranks)) {}

  base::Result<int> Run() {
    RETURN_IF_ERROR(CheckWritable(options_.json_path));
    RETURN_IF_ERROR(CheckWritable(options_.plot_path));
    ASSIGN_OR_RETURN(const std::vector<Contender> contenders, Installed());
    ASSIGN_OR_RETURN(const std::unique_ptr<ScratchFolder> folder,
                     ScratchFolder::Make(ValueOf(environment_, "TMPDIR")));
    ASSIGN_OR_RETURN(const std::unique_ptr<GangStage> stage, OpenStage(folder->path()));
    const base::Result<BenchResult> result = StartAndMeasure(*stage, contenders);
    stage->End();
    if (stage->signal() != 0) {
      std::fprintf(context_.err, "lockstep: %s\n", result.status().message().c_str());
      return 128 + stage->signal();
    }
    RETURN_IF_ERROR(result.status());
    RETURN_IF_ERROR(Conclude(*result));
    return 0;
  }

 private:
  base::Result<std::vector<Contender>> Installed() const {
    std::vector<Contender> installed;
    std::string missing;
    const std::string path = ValueOf(environment_, "PATH");
    for (Contender& contender : ContendersOf(options_, static_cast<int>(AllowedCores().size()))) {
      if (contender.launcher.empty() || IsOnPath(contender.launcher, path)) {
        installed.push_back(std::move(contender));
      } else if (contender.peer.empty()) {
        return base::NotFoundError(contender.launcher + ", which starts --backend " +
                                   contender.name + ", is not on PATH; install it");
      } else if (missing != contender.launcher) {
        missing = contender.launcher;
        std::fprintf(context_.err, "lockstep: note: %s is left out: %s is not on PATH\n",
                     contender.peer.c_str(), missing.c_str());
      }
    }
    const bool alone = std::none_of(installed.begin(), installed.end(),
                                    [](const Contender& one) { return !one.peer.empty(); });
    if (alone && !options_.peers.empty())
      return base::NotFoundError("none of the peers that --compare names is installed");
    return installed;
  }

  base::Result<std::unique_ptr<GangStage>> OpenStage(const std::string& folder) const {
    std::error_code error;
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return base::ErrnoStatus(error.value(), "read /proc/self/exe");
    return GangStage::Create({.folder = folder,
                              .lockstep = self.string(),
                              .program_folder = self.parent_path().string(),
                              .cpus = cpus_,
                              .yields = cpus_.empty(),
                              .ranks = options_.ranks,
                              .timeout = options_.timeout,
                              .environment = EnvironmentOfGangs(environment_, folder)},
                             context_.clock);
  }

  base::Result<BenchResult> StartAndMeasure(GangStage& stage,
                                            const std::vector<Contender>& contenders) {
    std::vector<Contestant*> contestants;
    for (const Contender& contender : contenders) {
      ASSIGN_OR_RETURN(Contestant* const contestant, stage.Start(contender));
      contestants.push_back(contestant);
    }
    ProcCpuPressure pressure([&stage] { return stage.Pids(); }, cpus_);
    bool began = false;
    const auto print = [&](const BenchResult& result) {
      if (!began) std::fputs(TableHead(options_, result, cpus_).c_str(), context_.out);
      began = true;
      std::fputs(TableRows(options_, result, result.sizes.back()).c_str(), context_.out);
      std::fflush(context_.out);
    };
    return Measure(options_, contestants,
                   {.clock = context_.clock, .pressure = pressure, .on_size = print});
  }

  base::Status Conclude(const BenchResult& result) const {
    std::fputs(TableFoot(options_, result).c_str(), context_.out);
    RETURN_IF_ERROR(WriteText(options_.json_path,
                              JsonReport(options_, ThisMachine(context_.clock, cpus_), result)));
    if (!options_.plot_path.empty()) {
      const std::string title =
          std::string(BenchOpName(options_.op)) + " of " + std::string(DtypeName(options_.dtype)) +
          ", " + std::to_string(options_.ranks) + " ranks" + (result.marked ? " (disturbed)" : "");
      RETURN_IF_ERROR(WriteText(options_.plot_path, SvgPlot(title, SeriesOf(result))));
    }
    if (result.wrong() > 0)
      return base::InternalError(std::to_string(result.wrong()) +
                                 " elements are wrong; the column #wrong says whose");
    const int without = result.sizes_without_ratio();
    if (without == 0) return base::OkStatus();
    return base::UnavailableError(
        "no ratio is told at " + std::to_string(without) + " of " +
        std::to_string(result.sizes.size()) +
        " sizes: the machine was too busy with other work; see the table's end");
  }

  const VerbContext& context_;
  const BenchOptions& options_;
  const topology::Environment environment_;
  const std::vector<int> cpus_;  // by rank; empty: there are too few
};

}  // namespace

base::Result<int> RunBench(const VerbContext& context, const BenchOptions& options,
                           topology::Environment environment) {
  if (options.capabilities) {
    std::fputs(CapabilityTables({collectives::HostCapabilities("shm"),
                                 collectives::MessageCapabilities("tcp"),
                                 collectives::MessageCapabilities("wide")})
                   .c_str(),
               context.out);
    return 0;
  }
  return BenchRun(context, options, std::move(environment)).Run();
}

}  // namespace lockstep::launcher
