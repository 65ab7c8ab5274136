// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
#include "collectives/mpi/mpi_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <string_view>

namespace lockstep::collectives {
namespace {

// The names under which the loader knows the MPIs of the last ten years: Open MPI, Open MPI 5 and
// Debian's MPICH, MPICH under its own name.
constexpr const char* kSonames[] = {"libmpi.so.40", "libmpich.so.12", "libmpi.so.12"};
constexpr const char* kCure =
    "; start the ranks with the mpirun of the MPI whose liblockstep_mpi_*.so is named "
    "(liblockstep_mpi_openmpi.so: mpirun.openmpi, package libopenmpi3; liblockstep_mpi_mpich.so: "
    "mpirun.mpich, package libmpich12)";

std::string LoadedMpi() {
  for (const char* const soname : kSonames) {
    if (void* const handle = dlopen(soname, RTLD_LAZY | RTLD_NOLOAD)) {
      dlclose(handle);
      return soname;
    }
  }
  return "";
}

}  // namespace

base::Result<MpiLibrary> MpiLibrary::Load(const std::string& path) {
  const std::string attempt = "loading MPI through " + path + ": ";
  if (access(path.c_str(), F_OK) != 0) {
    return base::NotFoundError(attempt +
                               "there is no such file; name the folder where Lockstep's " +
                               "liblockstep_mpi_openmpi.so and liblockstep_mpi_mpich.so lie");
  }
  const std::string loaded = LoadedMpi();
  // Open MPI loads its components itself, and they look for its symbols among the global ones.
  void* const handle = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) {
    const char* const why = dlerror();
    return base::FailedPreconditionError(attempt + (why != nullptr ? why : "it cannot be loaded") +
                                         kCure);
  }
  const auto entry =
      reinterpret_cast<decltype(&lockstep_mpi_get_api)>(dlsym(handle, LOCKSTEP_MPI_ENTRY));
  const lockstep_mpi_api* const api = entry != nullptr ? entry() : nullptr;
  if (api == nullptr || api->version != LOCKSTEP_MPI_VERSION) {
    return base::FailedPreconditionError(
        attempt + "it is " +
        (api == nullptr ? "no object of Lockstep's"
                        : "of another release (table " + std::to_string(api->version) + ", not " +
                              std::to_string(LOCKSTEP_MPI_VERSION) + ")") +
        "; install both from one release");
  }
  if (!loaded.empty() && loaded != api->soname) {
    return base::FailedPreconditionError(attempt + "it needs " + api->soname + " (" + api->family +
                                         "), and this process has loaded " + loaded +
                                         " already: two MPIs cannot share a process" + kCure);
  }
  char version[256] = "";
  api->version_text(version, sizeof version);
  if (!std::string_view(version).starts_with(api->family)) {
    return base::FailedPreconditionError(attempt + "it was compiled against " + api->built_against +
                                         ", and the loader found \"" + version +
                                         "\" in its place, whose ABI is another" + kCure);
  }
  return MpiLibrary(*api, path, version);
}

base::Status MpiLibrary::StatusOf(lockstep_mpi_result result, const std::string& what) const {
  const std::string text =
      result == LOCKSTEP_MPI_OK ? "" : what + ": " + version_ + " says: " + api_->last_error();
  switch (result) {
    case LOCKSTEP_MPI_OK: return base::OkStatus();
    case LOCKSTEP_MPI_TRUNCATED:
      return base::FailedPreconditionError(text +
                                           "; another member sent more than was expected here")
          .WithClass(base::FailureClass::kUsage);
    case LOCKSTEP_MPI_NO_MEMORY: return base::ResourceExhaustedError(text);
    case LOCKSTEP_MPI_PEER_FAILED:
      return base::UnavailableError(text).WithClass(base::FailureClass::kPeerDead);
    case LOCKSTEP_MPI_FAILED: return base::InternalError(text);
  }
  return base::InternalError(what + ": a result that lockstep_mpi.h does not know");
}

}  // namespace lockstep::collectives
