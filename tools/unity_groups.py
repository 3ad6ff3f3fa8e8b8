#!/usr/bin/env python3
"""Says which files may be compiled as one: `unity_groups.py ROOT FILE...` prints "FILE;GROUP" lines for cmake/unity.cmake.
`unity_groups.py --test` tries it.

Files of a group share a translation unit, and so its anonymous namespace. Two files stay apart where one keeps to itself a
name that the other declares, calls without saying whose it is, or has from a header of this project. A file that no
other can join is not printed. Names are read off the layout that clang-format makes: what is declared at namespace scope
begins in the first column.
"""
import os
import re
import sys

# So many that what the standard library costs is shared, so few that two processors have something to do until the end.
LINES_MAX = 2500

NAMESPACE = re.compile(r"(?:inline )?namespace(?: ([\w:]+))? \{")
ALIAS = re.compile(r"(?:using|namespace) (\w+) = .*;$")
ENUM = re.compile(r"enum (?!class)")  # its values are names of the namespace
TYPE = re.compile(r"(?:struct|class|enum class|enum|union) (\w+)")
NAME = re.compile(r"[\w:&*,\s]*?(operator\S+?|\w+)\s*[({\[=;]")
MORE = re.compile(r", (\w+)(?=(?: =|[{\[;]))")  # int a = 1, b = 2;
CALL = re.compile(r"(?<![\w.:>~])([a-z]\w*)\(")
INCLUDE = re.compile(r'#include "([^"]+)"')
RAW_STRING = re.compile(r'R"([^(\s]*)\((?!.*\)\1")')
# A macro that steers a header, and names that are brought in, would reach the files that follow. Of the latter, and of
# other names for a namespace, clang-tidy looks for unused ones only in the file that it is given.
ALONE = re.compile(r"#define (?!ANDIRON_)|using (?!\w+ =)|namespace \w+ = ")


def declared(line):
    """The names that a line in the first column declares, and now and then one more."""
    if re.match(r"[A-Z][A-Z0-9_]*\(", line):  # TEST(Suite, Name) and its like make names of their own
        return []
    for _ in range(4):
        line = re.sub(r"<[^<>]*>", "", line)
    line = re.sub(r"\[\[[^\]]*\]\] ?|alignas\([^)]*\) ?|^template ?", "", line)
    found = TYPE.match(line) or NAME.match(line)
    return [found.group(1)] + MORE.findall(line) if found else []


class Source:
    """What is at namespace scope, by name: `own` is seen in this file alone. A value is what the name means: two equal
    aliases mean the same, all else is of its file."""

    def __init__(self, path):
        self.path, self.own, self.names, self.includes, self.alone = path, {}, {}, set(), False
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        self.lines = len(lines)
        namespaces, raw_end, is_enum = [], None, False
        for line in lines:
            if raw_end is not None:
                raw_end = None if raw_end in line else raw_end
                continue
            self.read(line, namespaces)
            is_enum = is_enum or bool(ENUM.match(line))
            if is_enum:
                self.add(re.findall(r"\bk[A-Z]\w*", line), self.path, namespaces)
                is_enum = "}" not in line
            raw = RAW_STRING.search(line)
            raw_end = raw and f'){raw.group(1)}"'

    def read(self, line, namespaces):
        for call in CALL.findall(line.split("//")[0]):
            self.names.setdefault(call, "called")
        self.alone = self.alone or bool(ALONE.match(line))
        include, namespace = INCLUDE.match(line), NAMESPACE.match(line)
        if include:
            self.includes.add(include.group(1))
        elif namespace:
            namespaces.append(namespace.group(1))
        elif line.startswith("}  // namespace") and namespaces:
            namespaces.pop()
        elif line and line[0] not in " \t#/{})":
            alias = ALIAS.match(line)
            self.add([alias.group(1)] if alias else declared(line), line if alias else self.path,
                     [None] if line.startswith("static ") else namespaces)

    def add(self, names, meaning, namespaces):
        for name in names:
            self.names[name] = meaning
            if None in namespaces:
                self.own[name] = meaning


class Tree:
    def __init__(self, root):
        self.folders = [os.path.join(root, folder) for folder in ("src", "include", "recipes/ember")]
        self.sources = {}

    def source(self, path):
        if path not in self.sources:
            self.sources[path] = Source(path)
        return self.sources[path]

    def included(self, path):
        for name in self.source(path).includes:
            for folder in [os.path.dirname(path)] + self.folders:
                candidate = os.path.normpath(os.path.join(folder, name))
                if os.path.isfile(candidate):
                    yield candidate
                    break

    def visible(self, path):
        """Every name that `path` and this project's headers under it have, with what it means."""
        names, found, left = {}, {path}, [path]
        while left:
            at = left.pop()
            for name, meaning in self.source(at).names.items():
                if at == path or meaning != "called":
                    names.setdefault(name, set()).add(meaning)
            self.source(path).own.update({name: meaning for name, meaning in self.source(at).own.items() if meaning == "std"})
            new = set(self.included(at)) - found
            found |= new
            left += sorted(new)
        return names


def clash(own, visible):
    return any(visible.get(name, {meaning}) != {meaning} for name, meaning in own.items())


class Group:
    def __init__(self):
        self.lines, self.own, self.visible, self.paths = 0, {}, {}, []

    def takes(self, source, visible):
        if source.alone or self.lines + source.lines > LINES_MAX:
            return not self.paths
        return not clash(source.own, self.visible) and not clash(self.own, visible)

    def add(self, source, visible):
        self.paths.append(source.path)
        self.lines += LINES_MAX if source.alone else source.lines
        self.own.update(source.own)
        for name, meanings in visible.items():
            self.visible[name] = self.visible.get(name, set()) | meanings


def test():
    for line, names in {
        "int count = 0;": ["count"],
        "std::atomic<bool> g_held{false}, g_waits{false};": ["g_held", "g_waits"],
        "constexpr std::array<std::pair<int, char>, 2> kTable[] = {": ["kTable"],
        "[[nodiscard]] Result<int> parse(std::string_view text) {": ["parse"],
        "template <typename T>": [],
        "struct Entry;": ["Entry"],
        "enum class Kind : uint8_t {": ["Kind"],
        "Status TrainingJobs::save(const TrainingJob& job) {": ["save"],
        "TEST(Suite, Name) {": [],
    }.items():
        assert declared(line) == names, (line, declared(line))
    for line, is_alone in {
        "namespace fs = std::filesystem;": True,
        "namespace andiron {": False,
        "using namespace std::literals;": True,
        "using Bytes = std::vector<uint8_t>;": False,
        "#define ANDIRON_STRINGS(x) #x": False,
        "#define _GNU_SOURCE": True,
    }.items():
        assert bool(ALONE.match(line)) == is_alone, line
    assert not clash({"limit": "a.cpp"}, {"other": {"b.cpp"}})
    assert clash({"limit": "a.cpp"}, {"limit": {"b.cpp"}})
    assert clash({"limit": "a.cpp"}, {"limit": {"called"}}), "without a name of its own it may mean the other's"
    assert not clash({"Bytes": "using Bytes = X;"}, {"Bytes": {"using Bytes = X;"}}), "both mean the same"
    assert clash({"Bytes": "using Bytes = X;"}, {"Bytes": {"using Bytes = X;", "b.h"}})


def main():
    tree, groups = Tree(sys.argv[1]), []
    for path in sys.argv[2:]:
        visible = tree.visible(path)
        source = tree.source(path)
        # The first group that has room.
        group = next((group for group in groups if group.takes(source, visible)), None)
        if group is None:
            group = Group()
            groups.append(group)
        group.add(source, visible)
    for number, group in enumerate(groups):
        if len(group.paths) > 1:
            for path in group.paths:
                print(f"{path};{number}")


if __name__ == "__main__":
    test() if sys.argv[1:] == ["--test"] else main()
