"""README and docs: every code block runs, every link resolves, every table of names is complete.

How blocks are tested, by the language after the fence:

- `sh`: all blocks run in one shell, README first and then the pages in their order on the site, against an
  instance that README's own commands start. The shell stops at the first command that fails.
- `text` directly after an `sh` block: its output. Lines must appear in this order; `...` stands for any text.
- `python` blocks run, `json` and `toml` blocks parse. No other language is used.

Only `make` does not run as written: `make run` never ends and `make test` would run this test, so a block of `make`
commands runs as `make --dry-run`, which fails for a target that does not exist.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from journey_service import cli
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.settings import MigrationSettings, Settings
from processes import free_port

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PICTURE = DOCS / "assets" / "stage-map.svg"
TIMEOUT_SECONDS = 600
"""Limit for all shell blocks together, which take half a minute; a command that hangs fails here."""

_FENCE = re.compile(r"^```(?P<language>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_PATH = re.compile(
    r"`((?:src|tests|bench|docs|openapi|migrations)/[\w./-]+|(?:api|services|repositories|domain)/[\w/]+\.py)`"
)
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_PAGE_OF_NAVIGATION = re.compile(r"[\w/-]+\.md")


@dataclass(frozen=True)
class Block:
    """A fenced code block: the page, the line of its first line of code, the language and the code."""

    page: Path
    line: int
    language: str
    text: str
    is_output: bool = False
    """Whether it is the output of the shell block directly before it."""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks(page: Path, text: str) -> list[Block]:
    """Returns the fenced code blocks of a page."""
    found: list[Block] = []
    end_of_shell = -1
    for match in _FENCE.finditer(text):
        language = match["language"]
        is_output = (
            language == "text" and end_of_shell >= 0 and not text[end_of_shell : match.start()].strip()
        )
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(page, line, language, match["text"], is_output=is_output))
        end_of_shell = match.end() if language == "sh" else -1
    return found


def read_pages() -> list[Path]:
    """Returns README and the pages of the site, in reading order; pages that the navigation omits come last."""
    named = [DOCS / name for name in _PAGE_OF_NAVIGATION.findall((ROOT / "mkdocs.yml").read_text("utf-8"))]
    others = [page for page in sorted(DOCS.rglob("*.md")) if page not in named]
    return [ROOT / "README.md", *named, *others]


BLOCKS = [block for page in read_pages() for block in read_blocks(page, page.read_text("utf-8"))]
SHELL = [block for block in BLOCKS if block.language == "sh"]
TEXTS = [*read_pages(), ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]


def is_make(block: Block) -> bool:
    """Tests whether every command of a block is `make`, which runs as a dry run."""
    commands = [line for line in block.text.splitlines() if line.strip()]
    return all(re.match(r"(\w+=\S+ )*make ", command) for command in commands)


def as_script(blocks: list[Block], outputs: Path, substitutes: dict[str, str]) -> str:
    """Returns one bash script of all blocks. Each writes its output to a file named by its position."""
    lines = ["set -euo pipefail", f"make() {{ command make --dry-run -C '{ROOT}' \"$@\"; }}"]
    for index, block in enumerate(blocks):
        code = block.text
        for written, real in substitutes.items():
            code = code.replace(written, real)
        lines += [f"{{\n{code}}} > '{outputs / str(index)}' 2>&1"]
    return "\n".join([*lines, "exit 0", ""])


def run_script(script: str, folder: Path, environment: dict[str, str]) -> int:
    """Runs a script and then ends every process that it has left running. Returns its exit status."""
    shell = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return shell.wait(TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        _end_group(shell.pid)


def _end_group(group: int) -> None:
    """Ends the processes of a group: by SIGTERM, and those that are left after 30 s by SIGKILL.

    `journey up` stops its servers on SIGTERM.
    """
    for sent, seconds in ((signal.SIGTERM, 30), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(group, sent)
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.02)
        except ProcessLookupError:
            return


def find_missing_line(expected: str, output: str) -> str | None:
    """Returns the first expected line that the output does not have after the ones before it, or None."""
    position = 0
    for line in (one.strip() for one in expected.splitlines()):
        if not line.strip(". "):
            continue
        pattern = ".*?".join(re.escape(part) for part in line.split("..."))
        found = re.compile(pattern).search(output, position)
        if found is None:
            return line
        position = found.end()
    return None


def explain(blocks: list[Block], outputs: Path) -> str:
    """Names the block that failed, the last one that has begun, and its output."""
    begun = [index for index in range(len(blocks)) if (outputs / str(index)).exists()]
    if not begun:
        return "no block has run"
    last = begun[-1]
    return f"{blocks[last].place} failed\n{blocks[last].text}\n{(outputs / str(last)).read_text('utf-8')[-3000:]}"


@pytest.fixture(scope="module")
def programs() -> None:
    """Skips where a program that the pages use is missing, and fails where everything is required."""
    missing = [name for name in ("bash", "curl", "make", "openssl") if shutil.which(name) is None]
    if missing:
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail(f"required, and not installed: {', '.join(missing)}")
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder as README expects it: `.venv/bin/journey` is there."""
    folder = tmp_path_factory.mktemp("docs")
    command = folder / ".venv" / "bin" / "journey"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m journey_service.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    """The environment of the shell: without settings of the service, and with `journey` on the path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JOURNEY_", "OIDC_", "SMTP_", "DATABASE_", "MIGRATION_", "REDIS_", "OTEL_"))
    }
    return {**kept, "PATH": f"{folder / '.venv' / 'bin'}:{kept['PATH']}", "PYTHONPATH": str(ROOT / "src")}


@pytest.fixture
async def empty_database(servers) -> str:
    """The address of an empty database, for the example of a deployment."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute("DROP DATABASE IF EXISTS docs WITH (FORCE)")
        await connection.execute("CREATE DATABASE docs")
    finally:
        await connection.close()
    return servers.database_url.rsplit("/", 1)[0] + "/docs"


@pytest.mark.big
async def test_shell_blocks_run_and_print_what_the_pages_show(
    programs, folder, environment, empty_database, tmp_path
):
    substitutes = {
        "8000": str(free_port()),
        "8080": str(free_port()),
        "postgresql://journey:password@db.company.com/journey": empty_database,
    }
    status = run_script(as_script(SHELL, tmp_path, substitutes), folder, environment)
    assert status == 0, explain(SHELL, tmp_path)

    for index, block in enumerate(SHELL):
        following = BLOCKS[BLOCKS.index(block) + 1 :][:1]
        if following and following[0].is_output:
            output = (tmp_path / str(index)).read_text("utf-8")
            expected = following[0].text
            for written, real in substitutes.items():
                expected = expected.replace(written, real)
            missing = find_missing_line(expected, output)
            assert missing is None, (
                f"{following[0].place}: {missing!r} is not in the output:\n{output[-3000:]}"
            )

    emails = [file.read_text("utf-8") for file in (folder / ".journey" / "mail").iterdir()]
    assert any("To: ada@example.com" in email for email in emails), emails


@pytest.mark.parametrize(
    "code",
    [
        "false",
        "curl -sf localhost:1/",
        "true | false",
        "make no-such-target",
        "get_undefined",
        'echo "$undefined"',
    ],
)
def test_a_shell_block_that_fails_is_found_and_named(code, programs, folder, environment, tmp_path):
    blocks = read_blocks(ROOT / "README.md", f"```sh\ntrue\n```\n\n```sh\n{code}\n```\n\n```sh\ntrue\n```\n")
    assert run_script(as_script(blocks, tmp_path, {}), folder, environment) != 0
    assert explain(blocks, tmp_path).startswith("README.md:6 failed")


def test_an_output_that_differs_is_found():
    output = '{"status":"applied","current_stage":"customer"}\n{"status":"duplicate"}\n'
    assert find_missing_line('...\n{"status":"applied",...}\n...duplicate...\n', output) is None
    assert find_missing_line("...duplicate...\n...applied...\n", output) == "...applied..."
    assert find_missing_line('{"status":"applied"}\n', output) == '{"status":"applied"}'


def test_no_block_is_of_a_language_that_no_test_runs():
    assert {block.language for block in BLOCKS} <= {"sh", "text", "python", "json", "toml"}
    assert any(is_make(block) for block in SHELL)
    assert not [block.place for block in SHELL if "make " in block.text and not is_make(block)]


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language == "python"], ids=lambda block: block.place
)
def test_a_python_block_runs(block, environment):
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language in {"json", "toml"}], ids=lambda block: block.place
)
def test_a_data_block_parses(block):
    {"json": json.loads, "toml": tomllib.loads}[block.language](block.text)


# Links and names


def read_links(page: Path) -> Iterator[str]:
    """Yields the targets of a page's links, outside of code."""
    text = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text("utf-8")))
    return (match["target"] for match in _LINK.finditer(text))


def read_anchors(page: Path) -> set[str]:
    """Returns the anchors of a page's headings."""
    titles = (match["title"].lower() for match in _HEADING.finditer(_FENCE.sub("", page.read_text("utf-8"))))
    return {re.sub(r"[^\w\- ]", "", title).strip().replace(" ", "-") for title in titles}


def find_broken_links(page: Path) -> list[str]:
    """Returns the relative links of a page that lead to no file or to no heading."""
    broken = []
    for target in read_links(page):
        parts = urlsplit(target)
        if parts.scheme:
            continue
        file = (page.parent / parts.path).resolve() if parts.path else page
        if not file.is_file() or (parts.fragment and parts.fragment not in read_anchors(file)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page):
    assert find_broken_links(page) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A title\n[a](page.md) [b](#a-title) [c](none.md) [d](page.md#none) [e](https://example.com/x)\n"
    )
    assert find_broken_links(page) == ["none.md", "page.md#none"]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page):
    named = _PATH.findall(page.read_text("utf-8"))
    roots = (ROOT, ROOT / "src" / "journey_service")
    assert [name for name in named if not any((root / name).exists() for root in roots)] == []


def test_the_map_of_the_code_names_files_that_exist():
    [tree] = [
        block for block in BLOCKS if block.page == ROOT / "README.md" and "src/journey_service/" in block.text
    ]
    package = ROOT / "src" / "journey_service"
    *_, packages, path = tree.text.splitlines()
    assert len(tree.text.splitlines()) <= 12
    for name in re.findall(r"[\w/]+\.py", path):
        assert (package / name).is_file(), name
    for package_name in packages.partition(": ")[2].split():
        found = {
            layer
            for layer in ("api", "services", "repositories", "domain")
            if (package / layer / package_name).is_dir()
        }
        assert {"api", "services", "repositories", "domain"} - found <= (
            {"domain"} if package_name == "operations" else set()
        )
    for line in tree.text.splitlines()[1:-2]:
        for name in re.split(r"\s{2,}", line.strip())[0].split(", "):
            assert (package / name).is_dir() or (package / f"{name}.py").is_file(), name


def read_table(page: str, heading: str) -> list[str]:
    """Returns the first cells of the table under a heading."""
    section = (DOCS / page).read_text("utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [
        re.split(r"(?<!\\)\|", line)[1].strip() for line in section.splitlines() if line.startswith("| `")
    ]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_every_environment_variable_is_described():
    fields = [*Settings.model_fields.values(), *MigrationSettings.model_fields.values()]
    assert sorted(read_table("configuration.md", "Environment variables")) == sorted(
        {str(field.validation_alias) for field in fields}
    )


def test_every_setting_of_a_company_is_described():
    names = [
        name for name in CompanyPolicy.__dataclass_fields__ if name != "currency"
    ]  # a property of the company
    assert read_table("configuration.md", "Company settings") == names


def test_every_command_is_described():
    names = {*cli._COMMANDS}
    names |= {f"keys {name}" for name in cli._KEYS} | {f"erasures {name}" for name in cli._ERASURES}
    described = {
        re.match(r"[a-z-]+( [a-z]+)?", usage)[0] for usage in read_table("operations.md", "Commands")
    }
    assert described == names


def test_the_picture_shows_the_default_stage_map():
    picture = PICTURE.read_text("utf-8")
    for stage in DEFAULT_STAGES:
        assert f">{stage['name']}</text>" in picture
        assert f'stroke="{stage["color"]}"' in picture
    rules = json.dumps([stage["auto_rules"] for stage in DEFAULT_STAGES])
    for shown, rule in (
        ("3 or more appointments", '"count": ">=3"'),
        ("lifetime value 1000 or more", '"value": ">=1000"'),
        ("over 60 s", '"call_duration": ">60"'),
        ("more than 90 days", '"days": ">90"'),
        ("more than 180 days", '"days": ">180"'),
        ("risk score over 0.7", '"score": ">0.7"'),
    ):
        assert shown in picture
        assert rule in rules


# The site


def _build(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), *options],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def mkdocs() -> None:
    """Skips where the site generator is not installed, and fails where everything is required."""
    found = subprocess.run(
        [sys.executable, "-m", "mkdocs", "--version"], capture_output=True, check=False, timeout=300
    )
    if found.returncode:
        if os.environ.get("REQUIRE_ALL"):
            pytest.fail("mkdocs is required and not installed")
        pytest.skip("mkdocs is not installed: make install")


def test_the_site_builds_without_warnings_and_loads_nothing_from_other_hosts(mkdocs, tmp_path):
    done = _build(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert {page.stem for page in pages} >= {page.stem for page in DOCS.glob("*.md")}
    for page in pages:
        loaded = re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="([^"]+)"', page.read_text("utf-8"))
        assert [each for each in loaded if urlsplit(each).netloc] == [], page


def test_a_broken_link_fails_the_build(mkdocs, tmp_path):
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "index.md").open("a", encoding="utf-8") as page:
        page.write("\n[nowhere](nowhere.md)\n")
    done = _build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode != 0
    assert "nowhere.md" in done.stdout + done.stderr
