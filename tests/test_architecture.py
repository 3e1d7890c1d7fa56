"""The rules that keep the packages apart, read from the source of every file."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hardware_profiles", "liquid_neuro", "event_sim", "mappers")  # each may import itself and those before it
FILES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
COMMAND_LINE = ("liquid_neuro/__main__.py", "liquid_neuro/commands/")

# Where other people's packages may appear, by the beginning of the path. What is not named here may appear nowhere.
ALLOWED = {
    "numpy": PACKAGES,
    "networkx": ("liquid_neuro/wiring", "liquid_neuro/exact_solver.py", "mappers/"),
    "pydantic": ("hardware_profiles/",),
    "tomli": ("hardware_profiles/",),
    "tomllib": ("hardware_profiles/",),  # of the standard library, but not of Python 3.10
    "safetensors": ("liquid_neuro/",),
    "torch": ("liquid_neuro/torch_file.py",),
    "jax": ("liquid_neuro/training/",),
    "optax": ("liquid_neuro/training/",),
    "numba": ("event_sim/kernels/",),
    "llvmlite": ("event_sim/kernels/",),
    "lava": ("mappers/exporters/lava",),
    "plotly": ("mappers/report",),
    "typer": COMMAND_LINE,
    "rich": (*COMMAND_LINE, "liquid_neuro/training/", "event_sim/"),  # progress bars, imported when one is asked for
}
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_KERNEL = 80  # a compiled loop over events: its parts share a dozen arrays, and splitting it costs time in the innermost loop


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every import in a file, those inside functions and under TYPE_CHECKING included."""
    package = path.with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def found(path: Path, prefixes: tuple[str, ...]) -> bool:
    return any(path.as_posix().startswith(prefix) for prefix in prefixes)


def test_there_are_files():
    assert len(FILES) > 40


def test_packages_import_only_themselves_and_those_to_their_left():
    wrong = []
    for path in FILES:
        if found(path, COMMAND_LINE):
            continue
        allowed = PACKAGES[: PACKAGES.index(path.parts[0]) + 1]
        for line, name in imports(path):
            top = name.split(".")[0]
            if top in PACKAGES and top not in allowed:
                wrong.append(f"{path}:{line} imports {name}")
    assert wrong == []


def test_nobody_imports_the_command_line():
    wrong = []
    for path in FILES:
        if found(path, COMMAND_LINE):
            continue
        for line, name in imports(path):
            if name.startswith(("liquid_neuro.commands", "liquid_neuro.__main__")):
                wrong.append(f"{path}:{line} imports {name}")
    assert wrong == []


def test_third_parties_appear_only_where_they_may():
    wrong = []
    for path in FILES:
        for line, name in imports(path):
            top = name.split(".")[0]
            if top in PACKAGES or top in sys.stdlib_module_names:
                continue
            if not found(path, ALLOWED.get(top, ())):
                wrong.append(f"{path}:{line} imports {name}")
    assert wrong == []


def test_no_module_bears_the_name_of_a_public_function_beside_it():
    wrong = []
    for init in (path for path in FILES if path.name == "__init__.py"):
        folder = ROOT / init.parent
        modules = {item.stem for item in folder.iterdir() if item.suffix == ".py" or (item / "__init__.py").is_file()} - {"__init__"}
        tree = ast.parse((ROOT / init).read_text())
        public = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        public |= {alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
        public |= lazy_names(tree)
        clashes = {name for name in modules & public if not imports_module(tree, name)}
        wrong += [f"{init.parent}/{name}.py" for name in sorted(clashes)]
    assert wrong == []


def lazy_names(tree: ast.Module) -> set[str]:
    """Names in __all__ and keys of module-level dictionaries (tables of lazy imports)."""
    names: set[str] = set()
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Dict):
            names |= {key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
        elif isinstance(value, ast.List | ast.Tuple):
            names |= {item.value for item in value.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    return names


def imports_module(tree: ast.Module, name: str) -> bool:
    """Whether __init__ takes the module itself (from package import name), which is no clash."""
    return any(
        isinstance(node, ast.ImportFrom) and node.module in PACKAGES and any(alias.name == name for alias in node.names)
        for node in ast.walk(tree)
    )


def test_files_are_short():
    tests = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in [*FILES, *tests]}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_are_short():
    wrong = []
    for path in FILES:
        allowed = LONGEST_KERNEL if found(path, ("event_sim/kernels/",)) else LONGEST_FUNCTION
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > allowed:
                wrong.append(f"{path}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines")
    assert wrong == []


def test_nothing_is_left_undone():
    wrong = []
    for path in FILES:
        text = (ROOT / path).read_text()
        wrong += [f"{path}: {word}" for word in ("TO" + "DO", "FIX" + "ME", "raise NotImplemented" + "Error") if word in text]
    assert wrong == []


@pytest.mark.parametrize("command", ["import liquid_neuro, event_sim, mappers", "from liquid_neuro.__main__ import run; run(['--help'])"])
def test_imports_and_help_are_light(command):
    heavy = ("jax", "optax", "numba", "plotly", "torch", "lava", "scipy")
    script = f"{command}\nimport sys\nloaded = [name for name in {heavy} if name in sys.modules]\nassert not loaded, loaded"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_nothing_speaks_of_places_outside_the_repository():
    """Files that are handed out must mean something on any machine."""
    wrong = []
    texts = [
        *FILES,
        *(path.relative_to(ROOT) for folder in ("tests", "examples") for path in (ROOT / folder).rglob("*.py")),
        Path("README.md"),
    ]
    for path in texts:
        text = (ROOT / path).read_text()
        wrong += [f"{path}: {word}" for word in ("../sha" + "red", "/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/") if word in text]
    assert wrong == []
