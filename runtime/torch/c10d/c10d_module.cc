// Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
// The Python extension `_lockstep_c10d`: how lockstep_c10d/__init__.py makes what
// init_process_group asks for.

#include <torch/csrc/utils/pybind.h>

#include <chrono>
#include <memory>
#include <vector>

#include "runtime/torch/c10d/c10d_backend.h"
#include "runtime/torch/c10d/rank_groups.h"
#include "runtime/torch/c10d/torch_abi.h"

namespace lockstep::train {
namespace {

namespace py = pybind11;

C10dBackend::Config ConfigOf(double timeout_s, bool verify) {
  return {.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(
              std::chrono::duration<double>(timeout_s)),
          .verify = verify};
}

c10::intrusive_ptr<C10dBackend> MakeBackend(std::shared_ptr<RankGroups> groups, int rank, int size,
                                            const std::vector<int64_t>& world_ranks,
                                            double timeout_s, bool verify) {
  return c10::make_intrusive<C10dBackend>(std::move(groups), rank, size, world_ranks,
                                          ConfigOf(timeout_s, verify));
}

c10::intrusive_ptr<C10dBackend> MakeOfSurvivors(std::shared_ptr<RankGroups> groups,
                                                double timeout_s, bool verify) {
  return C10dBackend::OfSurvivors(std::move(groups), ConfigOf(timeout_s, verify));
}

}  // namespace

PYBIND11_MODULE(_lockstep_c10d, module) {
  py::module_::import("torch.distributed");  // BackendBase is one of its classes
  py::class_<RankGroups, std::shared_ptr<RankGroups>>(module, "RankGroups")
      .def(py::init(&RankGroups::Open), py::call_guard<py::gil_scoped_release>())
      .def("lost_ranks", &RankGroups::LostRanks);
  py::class_<C10dBackend, BackendBase, c10::intrusive_ptr<C10dBackend>>(module, "C10dBackend")
      .def(py::init(&MakeBackend), py::arg("groups"), py::arg("rank"), py::arg("size"),
           py::arg("world_ranks"), py::arg("timeout_s"), py::arg("verify"),
           py::call_guard<py::gil_scoped_release>())
      .def_static("of_survivors", &MakeOfSurvivors, py::arg("groups"), py::arg("timeout_s"),
                  py::arg("verify"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace lockstep::train
