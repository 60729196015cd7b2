"""Imports point down the README's list of rooms, and no two modules import each other."""

import ast
import graphlib
import pathlib
import re

from commands import ROOT

PACKAGE = ROOT / "lofi_jax"


def modules() -> dict[str, pathlib.Path]:
    """The package's modules by name."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files()}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def files() -> list[pathlib.Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: pathlib.Path, known: set[str]) -> set[str]:
    """The modules that a file imports, at its top or later."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & known or {node.module}
    return found & known


def room(module: str) -> str:
    """The room of a module; of a command or a file beside the rooms, none."""
    name = module.split(".")[1] if "." in module else ""
    return name if (PACKAGE / name).is_dir() else ""


def test_imports_point_down_the_list_of_rooms():
    listed = (ROOT / "README.md").read_text().partition("## The rooms")[2]
    order = re.findall(r"\(lofi_jax/(\w+)/README\.md\)", listed)
    assert sorted(order) == sorted(path.parent.name for path in PACKAGE.glob("*/README.md"))
    known = modules()
    up = [
        (module, other)
        for module, path in known.items()
        for other in imported(path, set(known))
        if room(module) and room(other) and order.index(room(other)) < order.index(room(module))
    ]
    assert up == []


def test_no_module_is_imported_in_a_circle():
    known = modules()
    graphlib.TopologicalSorter(
        {module: imported(path, set(known)) - {module} for module, path in known.items()}
    ).prepare()
