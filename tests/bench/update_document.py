#!/usr/bin/env python3
# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""update_document.py LOG DOCUMENT: puts the tables and bars of a run of run_all.sh into docs/performance.md.

In the document, what one benchmark printed stands between `<!-- NAME -->` and `<!-- end -->`; in the log it follows `== LABEL`.
"""
import re
import sys


def printed_by(log):
    """{name of a benchmark: its tables and bars}"""
    parts = re.split(r"(?m)^== //\S*:(\w+)\n", log)
    found = {}
    for name, text in zip(parts[1::2], parts[2::2]):
        text = text.split("\n== the bars")[0]
        lines = [line for line in text.splitlines() if not line.startswith(("INFO:", "WARNING:"))]
        # Bars become a list, so that they stay lines of their own.
        lines = [re.sub(r"^bar (holds|MISSED|not judged[^:]*): ", r"- bar \1: ", line) for line in lines]
        found[name] = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return found


def updated(document, printed):
    def replace(match):
        name = match.group(1)
        return "<!-- %s -->\n\n%s\n\n<!-- end -->" % (name, printed[name]) if name in printed else match.group()

    return re.sub(r"(?s)<!-- (\w+) -->.*?<!-- end -->", replace, document)


def main(log_path, document_path):
    with open(log_path) as file:
        printed = printed_by(file.read())
    with open(document_path) as file:
        document = file.read()
    with open(document_path, "w") as file:
        file.write(updated(document, printed))


if __name__ == "__main__":
    main(*sys.argv[1:])
