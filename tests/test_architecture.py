"""The rules of the house that no linter has."""

import ast
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "journey_service"
ROOT = SOURCE.parents[1]


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_the_domain_imports_the_standard_library_and_itself_only():
    foreign = {
        f"{file.name}: {name}"
        for file in (SOURCE / "domain").rglob("*.py")
        for name in _imports(file)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("journey_service.domain")
    }
    assert foreign == set()


def test_every_module_says_what_it_is_for():
    silent = [
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_imports_stand_at_the_top():
    hidden = [
        f"{file.relative_to(SOURCE)}:{node.lineno}"
        for file in SOURCE.rglob("*.py")
        for outer in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(outer)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_no_file_names_a_registry_or_a_place_on_a_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    # Written in halves, so that this file does not find itself.
    halves = ("pypi|.org", "python|hosted", "npm|js", "registry|.", "/ro|ot/", "/wo|rk/", "/tm|p/")
    forbidden = [half.replace("|", "") for half in halves]
    found = [
        f"{name}: {word}"
        for name in listed.splitlines()
        if (ROOT / name).is_file()
        for word in forbidden
        if word in (ROOT / name).read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []
