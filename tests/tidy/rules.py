# Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can check, each a function from the source tree to complaints.

A tree is a dict from path (relative to the repository's root) to text. A complaint is `path:line: what; what instead`.
A line that must break a rule says so with its reason: `// tidy:allow sleep: the hang itself is the subject`.
"""
import ast
import collections
import os
import re

C_FAMILY = (".h", ".cc", ".c")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+["<]([^">]+)[">]', re.MULTILINE)
COMMENT_OR_LITERAL = re.compile(
    r'//[^\n]*|/\*.*?\*/'
    r'|R"(?P<delimiter>[^(\s]*)\(.*?\)(?P=delimiter)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'",  # not the separator in 1'000
    re.DOTALL)


def c_family(tree):
    return {path: text for path, text in tree.items() if path.endswith(C_FAMILY)}


def is_test(path):
    stem, extension = os.path.splitext(path)
    return path.startswith("tests/") or (extension in (".cc", ".py") and stem.endswith("_test"))


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_only(text):
    """The text with comments and literals blanked, every line where it was."""
    return COMMENT_OR_LITERAL.sub(blank, text)


def find(pattern, path, text, complaint, rule, code=None):
    """A complaint for each match, but those that their line allows."""
    lines = text.split("\n")
    for match in re.finditer(pattern, text if code is None else code):
        line = text.count("\n", 0, match.start()) + 1
        if not re.search(r"tidy:allow %s: \S" % rule, lines[line - 1]):
            yield "%s:%d: %s" % (path, line, complaint % {"found": match.group().strip(" (")})


# --- Layers ---


def folder_of(path):
    """The unit of layering: runtime/base, elastic, ..."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] == "runtime" else parts[0]


def package_groups(root_build):
    """{group name: its package patterns} of the root BUILD file, which is the one place that names the layers."""
    groups = {}
    for node in ast.walk(ast.parse(root_build)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "package_group":
            arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            groups[arguments["name"]] = arguments["packages"]
    return groups


def in_packages(path, patterns):
    package = "//" + os.path.dirname(path)
    for pattern in patterns:
        if pattern == "//..." or package == pattern:
            return True
        if pattern.endswith("/...") and (package + "/").startswith(pattern[:-len("...")]):
            return True
    return False


def group_above(folder, groups):
    """runtime/net and its neighbours share above_runtime; a folder without a group offers its headers to tests alone."""
    name = "above_" + folder.split("/")[-1]
    if name not in groups and folder.startswith("runtime/"):
        name = "above_runtime"
    return name, groups.get(name, ["//tests/..."])


def includes_go_downwards(tree):
    groups = package_groups(tree["BUILD"])
    folders = {folder_of(path) for path in c_family(tree)}
    for path, text in c_family(tree).items():
        for match in INCLUDE.finditer(text):
            included = folder_of(match.group(1))
            if included not in folders or included == folder_of(path):
                continue
            name, packages = group_above(included, groups)
            if not in_packages(path, packages):
                line = text.count("\n", 0, match.start()) + 1
                yield ("%s:%d: %s may not include from %s; take what it needs as a parameter or an interface of a lower "
                       "folder, or add the edge to %s in the root BUILD file and defend it in review" %
                       (path, line, folder_of(path), included, name))


def drawn_layers(document):
    """{folder: its line, counted from the top} of the picture in docs/architecture.md."""
    picture = re.search(r"(?ms)^## Layers$.*?^```\n(.*?)^```", document)
    layers = {}
    for line, text in enumerate(picture.group(1).split("\n") if picture else []):
        for parent, names in re.findall(r"((?:\w+/)*)(\w+|\{[\w,]+\})/(?=\s|$)", text):
            for name in names.strip("{}").split(","):
                layers[parent + name] = line
    return layers


def the_picture_shows_the_layers(tree):
    """Each folder is drawn, and each edge that the root BUILD file allows leads from a line to a lower one."""
    picture = "docs/architecture.md"
    layers = drawn_layers(tree.get(picture, ""))
    groups = package_groups(tree["BUILD"])
    folders = {folder_of(path) for path in c_family(tree)} - {"tests", "bazel"}
    for folder in sorted(folders ^ set(layers)):
        yield ("%s:1: %s is %s; draw the folders that exist" %
               (picture, folder, "not in the picture of the layers" if folder in folders else "drawn and does not exist"))
    for lower in sorted(folders & set(layers)):
        name, packages = group_above(lower, groups)
        for upper in sorted(folders & set(layers) - {lower}):
            if layers[upper] >= layers[lower] and in_packages(upper + "/x", packages) and "//..." not in packages:
                yield ("%s:1: %s is not drawn above %s, which it may include by %s of the root BUILD file; one of them is "
                       "wrong" % (picture, upper, lower, name))


# --- Libraries and calls that have one home ---

Library = collections.namedtuple("Library", "name header homes instead")
LIBRARIES = (
    Library("LibTorch", r"(torch|ATen|c10|caffe2)/", r"(runtime/torch|serving|examples)/",
            "offer what you need from runtime/torch, over plain buffers"),
    Library("MPI", r"mpi\.h$", r"(collectives/mpi|launcher/bench/ranks|examples|tests)/", "use collectives/group.h"),
    Library("Gloo", r"gloo/", r"launcher/bench/ranks/", "use collectives/group.h"),
    Library("libcurl", r"curl/", r"(operator/kube|pipelines)/", "the launcher and its agent link no HTTP client"),
    Library("OpenSSL", r"openssl/", r"runtime/net/", "connect through runtime/net/network.h"),
    Library("glog", r"glog/", r"runtime/base/logging\.h$", "include runtime/base/logging.h"),
    Library("gflags", r"gflags/", r".*_main\.cc$", "pass a config struct from main"),
    Library("NCCL and CUDA", r"(nccl|cuda\w*|driver_types)\.h$", r"collectives/nccl/", "use collectives/group.h"),
)


def libraries_stay_in_their_folders(tree):
    for path, text in c_family(tree).items():
        for library in LIBRARIES:
            if not re.match(library.homes, path):
                yield from find(r'(?m)^[ \t]*#[ \t]*include[ \t]+["<]' + library.header.replace("$", '[">]'), path, text,
                                "%s is not included here; %s" % (library.name, library.instead), "library")


def only_runtime_process_makes_processes(tree):
    call = r"(?<![\w.>])(?:::)?(fork|vfork|clone|clone3|posix_spawnp?|system|popen|execvp?e?|execl[pe]?)\s*\(|\b(SYS|__NR)_(fork|vfork|clone3?)\b"
    for path, text in c_family(tree).items():
        if not path.startswith("runtime/process/") and not is_test(path) and "/testing/" not in path:
            yield from find(call, path, text, "%(found)s is called in runtime/process alone; use Processes of "
                            "runtime/process/processes.h", "process", code_only(text))


def flags_are_defined_in_mains(tree):
    for path, text in c_family(tree).items():
        if not path.endswith("_main.cc"):
            yield from find(r"\bDEFINE_(bool|u?int(32|64)|double|string)\s*\(", path, text,
                            "%(found)s stands only in *_main.cc; take a config struct and let main fill it", "flag",
                            code_only(text))


def tests_do_not_sleep(tree):
    for path, text in tree.items():
        if not is_test(path):
            continue
        if path.endswith(C_FAMILY):
            yield from find(r"\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\(", path, text,
                            "%(found)s in a test; wait for the event with a deadline, or use SimClock", "sleep",
                            code_only(text))
        elif path.endswith(".py"):
            yield from find(r"\btime\.sleep\(", path, text,
                            "%(found)s in a test; wait for the event with a deadline", "sleep")


# --- One definition ---

OPENING = re.compile(
    r"(?P<namespace>\bnamespace(?:\s+(?P<scope>[\w:]+))?\s*\{)"
    r"|\b(?:class|struct|union|enum(?:\s+class|\s+struct)?)\s+(?:\w+\([^()]*\)\s+)?(?P<type>\w+(?:::\w+)*)"
    r"(?:\s+final)?(?:\s*:[^;{}()]*)?\s*\{"
    r"|[{}]")


def types_of(text):
    """(offset, qualified name) of each type that a file defines for others to see: in a namespace that has a name."""
    scopes = []  # of each open brace the namespace's name; None: whatever stands there is nobody else's
    for match in OPENING.finditer(code_only(text)):
        if match.group() == "}":
            if scopes:
                scopes.pop()
            continue
        if match.group("type") and scopes and None not in scopes:
            yield match.start(), "::".join(scopes + [match.group("type")])
        scopes.append(match.group("scope") if match.group("namespace") else None)


def types_have_one_definition(tree):
    """Two types of one name in one program are one to the linker, which keeps the functions of either."""
    places = collections.defaultdict(list)
    for path, text in sorted(c_family(tree).items()):
        if path.endswith("_main.cc") or is_test(path) and path.endswith(".cc"):
            continue  # a program of its own
        for offset, name in types_of(text):
            places[name].append("%s:%d" % (path, text.count("\n", 0, offset) + 1))
    for name, found in places.items():
        for place in found[1:]:
            yield ("%s: %s is defined in %s too; one word has one meaning: rename one, or put what only its file needs into "
                   "an unnamed namespace" % (place, name, found[0]))


# --- Form ---


def files_begin_with_the_licence(tree):
    licence = "Copyright 2026 The Lockstep Authors. SPDX-License-Identifier: Apache-2.0"
    for path, text in tree.items():
        lines = text.split("\n", 2)
        if path.endswith(C_FAMILY):
            wanted, line = "// " + licence, lines[0]
        elif lines[0].startswith("#!"):
            wanted, line = "# " + licence, lines[1] if len(lines) > 1 else ""
        elif path.endswith((".py", ".sh")):
            wanted, line = "# " + licence, lines[0]
        else:
            continue
        if line != wanted:
            yield "%s:1: the first line is not the licence; begin with `%s`" % (path, wanted)


COLUMNS = 100
COMMENT_LINE = re.compile(r"\s*(//|/\*|\*)")


def comments_keep_within_the_columns(tree):
    """clang-format sees to the code, and leaves comments as they are."""
    for path, text in c_family(tree).items():
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > COLUMNS and COMMENT_LINE.match(line):
                yield "%s:%d: a comment of %d columns; wrap it, there are %d" % (path, number, len(line), COLUMNS)


def guards_are_named_after_their_path(tree):
    for path, text in c_family(tree).items():
        if not path.endswith(".h"):
            continue
        guard = "LOCKSTEP_%s_" % re.sub(r"[^A-Z0-9]", "_", path.upper())
        if not re.search(r"(?m)^#ifndef %s\n#define %s$" % (guard, guard), text):
            yield "%s:1: the include guard is not the path's; use %s" % (path, guard)


def sources_include_their_header_first(tree):
    """So each x.h is compiled alone, once, at no cost; cc_lib makes a source for headers that have none."""
    for path, text in c_family(tree).items():
        header = os.path.splitext(path)[0] + ".h"
        first = INCLUDE.search(text)
        if not path.endswith(".h") and header in tree and (first is None or first.group(1) != header):
            yield ('%s:1: does not include its own header first; begin with #include "%s", which proves that the header '
                   "compiles alone" % (path, header))


def build_files_use_the_house_rules(tree):
    for path, text in tree.items():
        if os.path.basename(path) == "BUILD" and not path.startswith("bazel/"):
            code = re.sub(r"#[^\n]*", blank, text)
            yield from find(r"(?m)^\s*(cc_library|cc_binary|cc_test|py_\w+_?binary|py_test|py_library)\s*\(|\bglob\s*\(",
                            path, text, "%(found)s is not used in BUILD files; //bazel:defs.bzl has the rule, and sources "
                            "are listed one by one", "rule", code)


def names_with_strings(build):
    """(name, all strings that stand with it) of each target of a BUILD file: a call, or a line of a list of alike ones."""
    for node in ast.walk(ast.parse(build)):
        if isinstance(node, ast.Call):
            names = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        else:
            names = node.elts[:1] if isinstance(node, ast.Tuple) else []
        if names and isinstance(names[0], ast.Constant):
            yield names[0].value, {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}


def soak_tests_are_tagged(tree):
    for path, text in tree.items():
        if os.path.basename(path) != "BUILD" or path.startswith("tests/tidy/"):
            continue
        for name, strings in names_with_strings(text):
            stem = os.path.join(os.path.dirname(path), name)
            own = [stem + extension for extension in (".cc", ".py")]
            headers = [string[2:].replace(":", "/") + ".h" for string in strings if str(string).startswith("//")]
            reads = any("LOCKSTEP_SOAK" in tree.get(source, "") for source in own + headers)
            if reads and "soak" not in strings:
                yield "%s:1: %s reads LOCKSTEP_SOAK and `make soak` does not run it; add the tag soak" % (path, name)
            elif not reads and "soak" in strings:
                yield "%s:1: %s has the tag soak and never reads LOCKSTEP_SOAK; drop the tag, or count higher" % (path, name)


# --- Documents ---


def folders_have_a_readme(tree):
    folders = {path.split("/")[0] for path in tree if os.path.basename(path) == "BUILD" and "/" in path}
    for folder in sorted(folders):
        if folder + "/README.md" not in tree:
            yield ("%s/README.md: does not exist; write one screen: purpose, targets, what it may use, where to start "
                   "reading" % folder)


def without_code_blocks(markdown):
    return re.sub(r"(?ms)^(```|~~~).*?^\1", blank, markdown)


def without_code(markdown):
    return re.sub(r"`[^`\n]*`", blank, without_code_blocks(markdown))


def anchors(markdown):
    """The names that headings get on the page: GitHub's rule."""
    for heading in re.findall(r"(?m)^#+[ \t]+(.*?)[ \t]*$", without_code_blocks(markdown)):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def document_links_resolve(tree):
    folders = {os.path.dirname(path) for path in tree}
    folders |= {parent for folder in folders for parent in parents(folder)}
    for path, text in tree.items():
        if not path.endswith(".md"):
            continue
        for match in re.finditer(r"\]\(([^)\s]+)\)", without_code(text)):
            link = match.group(1)
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            line = text.count("\n", 0, match.start()) + 1
            if target not in tree and target not in folders:
                yield "%s:%d: the link %s leads nowhere; name an existing file, relative to this one" % (path, line, link)
            elif anchor and target in tree and anchor not in anchors(tree[target]):
                yield "%s:%d: %s has no heading for #%s; link to one it has" % (path, line, target, anchor)


def parents(folder):
    while folder:
        yield folder
        folder = os.path.dirname(folder)


ALL = (
    includes_go_downwards,
    the_picture_shows_the_layers,
    libraries_stay_in_their_folders,
    only_runtime_process_makes_processes,
    flags_are_defined_in_mains,
    tests_do_not_sleep,
    types_have_one_definition,
    files_begin_with_the_licence,
    comments_keep_within_the_columns,
    guards_are_named_after_their_path,
    sources_include_their_header_first,
    build_files_use_the_house_rules,
    soak_tests_are_tagged,
    folders_have_a_readme,
    document_links_resolve,
)
