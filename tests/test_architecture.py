"""The rules of the house that no linter has."""

import ast
import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "journey_service"
ROOT = SOURCE.parents[1]
LAYERS = ("domain", "services", "repositories", "api")
ROOMS = {
    "access",
    "companies",
    "events",
    "stages",
    "journeys",
    "customers",
    "actions",
    "analytics",
    "operations",
}
FOLDERS_BESIDE_ROOMS = {
    "domain/simulation",
    "repositories/tables",
    "api/portal",
    "api/middleware",
    "api/openapi",
    "api/server",
}
MAX_MODULES = {"cli": 20}
DEFAULT_MAX_MODULES = 12


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


def test_every_module_has_a_docstring():
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


def test_no_folder_holds_more_modules_than_a_reader_can_survey():
    crowded = {
        str(folder.relative_to(SOURCE)): count
        for folder in [SOURCE, *(path for path in SOURCE.rglob("*") if path.is_dir())]
        if (count := sum(file.name != "__init__.py" for file in folder.glob("*.py")))
        > MAX_MODULES.get(str(folder.relative_to(SOURCE)), DEFAULT_MAX_MODULES)
    }
    assert crowded == {}


def test_every_layer_has_the_same_rooms():
    folders = {
        f"{layer}/{folder.name}": folder.name
        for layer in LAYERS
        for folder in (SOURCE / layer).iterdir()
        if folder.is_dir() and (folder / "__init__.py").exists()
    }
    strangers = {path for path, name in folders.items() if name not in ROOMS}
    assert strangers == FOLDERS_BESIDE_ROOMS


def test_a_folder_is_described_in_one_line_and_holds_no_code():
    re_exporting = {".", "cli", "demo", "embedded", "domain/simulation/linter", "repositories/tables"}
    talkative = [
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("__init__.py")
        if str(file.parent.relative_to(SOURCE)) not in re_exporting
        and len(file.read_text(encoding="utf-8").splitlines()) != 1
    ]
    assert talkative == []


# Times of tokens are compared with the clock of the process, as libraries do.
READS_THE_CLOCK = {"gateways/oidc.py"}


def test_only_the_listed_modules_read_the_clock_of_the_process():
    reading = {
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("time", "time"), ("time", "time_ns"), ("date", "today")}
    }
    assert reading == READS_THE_CLOCK


def test_no_statement_returns_all_columns_of_a_table_whatever_they_are():
    """After a migration adds a column, the prepared statement fails in processes that run."""
    found = [
        f"{file.relative_to(SOURCE)}: {match[0]}"
        for file in (SOURCE / "repositories").rglob("*.py")
        for match in re.finditer(
            r'text\(\s*f?"+(WITH [^"]*)?SELECT \* FROM \w+', file.read_text(encoding="utf-8")
        )
    ]
    assert found == []
