"""Licences of what is delivered, bills of materials, locks, and reasons for dependencies that are behind."""

import re
from pathlib import Path

import pytest
from supply_chain.licences import find_refused, is_allowed
from supply_chain.locks import RUNTIME_LOCK, read_lock, read_npm_packages
from supply_chain.outdated import PAGE, Package, find_unexplained, read_direct, read_reasons
from supply_chain.sbom import keep_components

ROOT = Path(__file__).parents[1]
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def test_every_delivered_package_has_an_allowed_licence():
    assert find_refused() == {}
    assert len(read_lock(RUNTIME_LOCK)) > 50
    assert len(read_npm_packages()) > 50


@pytest.mark.parametrize("licence", [None, "GPL-3.0-only", "MIT AND AGPL-3.0-only", "UNLICENSED"])
def test_the_check_detects_other_licences(monkeypatch, licence):
    monkeypatch.setattr("supply_chain.licences.read_npm_packages", lambda: {"left 1.0": licence})
    assert find_refused() == {"left 1.0": licence or "unknown"}
    print("guard removed: detected")


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-2.0-only", False),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-2.0-only", False),
        ("MPL-2.0 AND (GPL-2.0-only OR MIT)", True),
        ("(MIT OR CC0-1.0) AND (GPL-2.0-only AND MIT)", False),
        ("MIT AND MIT OR GPL-2.0-only", True),
    ],
)
def test_an_expression_is_allowed_if_allowed_licences_satisfy_it(expression, allowed):
    assert is_allowed(expression) is allowed


@pytest.mark.parametrize("expression", ["", "MIT AND", "OR MIT", "(MIT", "MIT)", "MIT Apache-2.0"])
def test_a_text_that_is_no_expression_is_an_error(expression):
    with pytest.raises(ValueError, match="SPDX expression"):
        is_allowed(expression)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_locked_package_has_hashes(lock):
    text = lock.read_text("utf-8")
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert [each for each in requirements if "==" not in each or "--hash=sha256:" not in each] == []
    assert "//" not in text


def test_a_bill_of_materials_contains_the_named_packages_and_what_they_need():
    document = {
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"name": name, "bom-ref": name} for name in ("Typer", "click", "pytest")],
        "dependencies": [
            {"ref": "root", "dependsOn": ["Typer", "pytest"]},
            {"ref": "Typer", "dependsOn": ["click"]},
            {"ref": "pytest"},
        ],
    }
    kept = keep_components(document, {"typer", "click"})
    assert [each["name"] for each in kept["components"]] == ["Typer", "click"]
    assert kept["dependencies"] == [
        {"ref": "root", "dependsOn": ["Typer"]},
        {"ref": "Typer", "dependsOn": ["click"]},
    ]


def test_a_dependency_behind_needs_a_written_reason():
    major, minor = Package("one", "1.9.0", "2.0.0"), Package("two", "2026.1", "2026.2")
    correction = Package("three", "1.2.3", "1.2.4")
    text = "### Held packages\n\n| package | reason |\n|---|---|\n| `two` | ... |\n\n## Next\n\n| `one` | ... |\n"
    assert find_unexplained([major, minor, correction], read_reasons(text)) == [major]


def test_every_held_package_is_a_direct_dependency():
    assert "redis" not in read_direct()
    assert read_reasons(PAGE.read_text("utf-8"))


def test_the_tools_have_an_environment_and_a_lock_of_their_own():
    tools = read_lock(ROOT / "requirements-audit.lock")
    assert {"cyclonedx-bom", "pip-audit"} <= set(tools)
    assert not {"cyclonedx-bom", "pip-audit"} & set(read_lock(ROOT / "requirements.lock"))
