"""Count the packages below a package, the imports between them, their levels and the cycles.

usage: import_graph.py [PACKAGE ...]   (default: mlcore.engine and the five top-level packages)

Imports for type checking count too, because such a cycle is equally confusing to readers.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp

ROOTS = ("accounts", "diagnosis", "exchange", "forum", "mlcore", "xraysite")


def build() -> grimp.ImportGraph:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    return grimp.build_graph(*ROOTS, cache_dir=None)


def part_of(module: str, package: str) -> str | None:
    """Return the direct child of `package` that holds `module`, or None if it is outside."""
    if not module.startswith(f"{package}."):
        return None
    return module[len(package) + 1 :].split(".")[0]


def imports_between_parts(graph: grimp.ImportGraph, package: str) -> dict[str, set[str]]:
    """Return, for each direct child of `package`, the other children that it imports."""
    parts = {part: set() for part in (part_of(m, package) for m in graph.modules) if part}
    for importer in graph.modules:
        here = part_of(importer, package)
        if here is None:
            continue
        for imported in graph.find_modules_directly_imported_by(importer):
            there = part_of(imported, package)
            if there is not None and there != here:
                parts[here].add(there)
    return parts


def cycles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one node (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for after in imports[node]:
            if after not in index:
                visit(after)
                low[node] = min(low[node], low[after])
            elif after in stack:
                low[node] = min(low[node], index[after])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                if component[-1] == node:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    for node in sorted(imports):
        if node not in index:
            visit(node)
    return found


def levels(imports: Mapping[str, Iterable[str]]) -> int:
    """Return how many levels the parts form, each above all that it imports; 0 with a cycle."""
    if cycles(imports):
        return 0
    heights: dict[str, int] = {}

    def height(node: str) -> int:
        if node not in heights:
            heights[node] = 1 + max((height(after) for after in imports[node]), default=0)
        return heights[node]

    return max(map(height, imports), default=0)


def main() -> int:
    graph = build()
    for package in sys.argv[1:] or ["mlcore.engine", *ROOTS]:
        parts = imports_between_parts(graph, package)
        arrows = sum(map(len, parts.values()))
        rings = cycles(parts)
        print(
            f"{package}: {len(parts)} parts, {arrows} imports between them, "
            f"{levels(parts) or 'no'} levels, {len(rings)} cycles"
        )
        for ring in rings:
            print("  cycle:", ", ".join(ring))
    modules = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    rings = cycles(modules)
    print(f"all modules: {len(modules)}, {len(rings)} cycles")
    for ring in rings:
        print("  cycle:", ", ".join(ring))
    return 1 if rings else 0


if __name__ == "__main__":
    sys.exit(main())
