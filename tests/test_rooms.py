"""Who may import whom, and the few rules that hold for every module."""

from __future__ import annotations

import ast
import configparser
import graphlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "znoded"
ROOMS = ("api", "client", "consensus", "daemon", "storage")
# What storage shares with whoever speaks of znodes: names, codes and layouts, nothing that holds state.
WORDS = ("acl", "cbor", "errors", "jute", "multi", "ops", "paths", "quota", "session", "x500", "znode")
VOCABULARY = {f"storage.{word}" for word in WORDS}
LOG = {"storage.cbor", "storage.log", "storage.committer", "storage.directories"}
LONGEST = 700


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """`storage.log` for storage/log.py, `storage` for storage/__init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sources(*ROOMS)}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def nodes(tree: ast.AST, *, typing: bool) -> Iterator[ast.AST]:
    """Every node below tree; without typing, not those that only a type checker sees."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and is_type_checking(child) and not typing:
            for otherwise in child.orelse:
                yield otherwise
                yield from nodes(otherwise, typing=typing)
            continue
        yield child
        yield from nodes(child, typing=typing)


def targets(module: str, *, typing: bool = True) -> set[str]:
    """All that module imports, anywhere in it, by full names."""
    path = MODULES[module]
    package = [PACKAGE, *path.relative_to(ROOT).parts[:-1]]
    found: set[str] = set()
    for node in nodes(ast.parse(path.read_bytes()), typing=typing):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join((*base, node.module)) if node.module else ".".join(base)
            for alias in node.names:
                deeper = f"{origin}.{alias.name}"
                found.add(deeper if deeper.partition(".")[2] in MODULES else origin)
    return found


def imports(module: str, *, typing: bool = True) -> set[str]:
    """The package's modules that module imports, without the package's own name."""
    found = targets(module, typing=typing)
    return {target.partition(".")[2] for target in found if target.split(".")[0] == PACKAGE}


def allowed(module: str, target: str) -> bool:
    """Whether the arrow from module to target is one that the design draws."""
    room, other = module.split(".")[0], target.split(".")[0]
    if room == other:
        return True
    match room:
        case "daemon":
            return other != "client"
        case "api" | "client":
            return target in VOCABULARY
        case "consensus":
            return target in LOG
        case _:
            return False


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_only_where_the_design_says(module: str) -> None:
    assert not [target for target in sorted(imports(module)) if not allowed(module, target)]


def test_the_vocabulary_rests_on_itself() -> None:
    for module in sorted(VOCABULARY & MODULES.keys()):
        assert imports(module) <= VOCABULARY, module


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module: imports(module, typing=False) for module in MODULES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("path", sources(*ROOMS, "tests", "bench"), ids=name_of)
def test_a_module_is_read_at_a_sitting(path: Path) -> None:
    assert len(path.read_bytes().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", [ROOT / "__init__.py", *sources(*ROOMS)], ids=name_of)
def test_a_module_says_its_job_in_a_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_bytes()))
    assert docstring, "no docstring"
    first = docstring.splitlines()[0]
    assert first.endswith((".", "?")), first
    assert len(first.split()) >= 3, first


def test_compiling_leads_to_no_library_that_a_build_lacks() -> None:
    """mypyc takes in whatever the hot modules import, and gives up where it finds nothing, unless mypy is not
    to mind."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    build = project["build-system"]["requires"]
    there = {re.split(r"\W", requirement)[0] for requirement in build} | sys.stdlib_module_names
    for override in project["tool"]["mypy"]["overrides"]:
        if override["ignore_missing_imports"]:
            there |= {module.removesuffix(".*") for module in override["module"]}
    there.add("mypy_extensions")  # comes with mypy
    reached: set[str] = set()
    ahead = {
        name_of(ROOT / path) for path in re.findall(r'"(\w+/[\w/]+\.py)"', (ROOT / "setup.py").read_text())
    }
    assert ahead <= MODULES.keys()
    while ahead:
        module = ahead.pop()
        reached.add(module)
        assert {target.split(".")[0] for target in targets(module)} <= there | {PACKAGE}, module
        ahead |= (imports(module) & MODULES.keys()) - reached


def test_every_package_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = set(setup["options"]["packages"].split())
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert named == {PACKAGE, *(f"{PACKAGE}.{package}" for package in packages)}
