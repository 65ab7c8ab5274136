# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The kernels of newer instruction sets define nothing that the linker could take for another object's copy."""

import pathlib
import unittest


class ReduceKernelsObjectsTest(unittest.TestCase):

    def test_each_variant_defines_names_of_its_own_alone(self):
        for variant in ("avx2", "avx512"):
            lines = pathlib.Path(f"collectives/engine/reduce_kernels_{variant}.symbols").read_text().splitlines()
            shared = [line for line in lines if len(line.split()) > 2 and line.split()[1] in "TWVuD"]
            own = [line for line in shared if f"lockstep::collectives::kernels_{variant}::" in line]
            self.assertGreater(len(own), 50, variant)
            foreign = [line for line in shared if line not in own and ("std::" in line or "lockstep::" in line)]
            self.assertEqual(foreign, [], variant)


if __name__ == "__main__":
    unittest.main()
