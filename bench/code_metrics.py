"""Prints metrics of the source code: sizes of folders, files and functions, names of classes, exemptions.

    python bench/code_metrics.py

The table of docs/architecture.md is its output.
"""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "journey_service"
PRODUCT_NOUNS = frozenset(
    (
        *(
            "Company",
            "Customer",
            "Event",
            "Stage",
            "StageMap",
            "Rule",
            "Trigger",
            "Condition",
            "Journey",
            "Facts",
        ),
        *("Decision", "Transition", "Campaign", "Task", "Action", "Template", "Funnel", "Cohort", "Snapshot"),
        *("Rollup", "Job", "Lease", "Webhook", "Tombstone", "Vault", "Rulebook"),
    )
)
"""Single-word class names that are product nouns; they are counted like all others."""
EDGES = "The edges reach storage through services"


def trees() -> Iterator[tuple[Path, ast.Module, str]]:
    """Yields every module of the package with its syntax tree and text."""
    for file in sorted(SOURCE.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        yield file, ast.parse(text), text


def spread(values: list[int]) -> str:
    """Returns median, 95th percentile and maximum."""
    return f"{median(values):.0f} / {quantiles(values, n=20)[-1]:.0f} / {max(values)}"


def main() -> None:
    """Prints the table as Markdown."""
    modules = Counter(
        str(file.parent.relative_to(SOURCE)) for file, _, _ in trees() if file.name != "__init__.py"
    )
    cli = modules.pop("cli")
    lines = [len(text.splitlines()) for file, _, text in trees() if file.name != "__init__.py"]
    functions = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for _, tree, _ in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    classes = [
        node.name for _, tree, _ in trees() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    single = [name for name in classes if re.fullmatch(r"_?[A-Z][a-z0-9]*", name)]
    nouns = [name for name in single if name in PRODUCT_NOUNS]
    repeated = [name for name, number in Counter(classes).items() if number > 1]
    texts = [text for _, _, text in trees()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    [edges] = [contract for contract in contracts["contracts"] if contract["name"] == EDGES]
    rows = (
        ("modules", f"{len(lines)} in {len(modules) + 1} folders"),
        ("modules per folder, largest", f"{max(modules.values())} (`cli/` {cli})"),
        ("file lines median / p95 / max", spread(lines)),
        ("function lines median / p95 / max", spread(functions)),
        (
            "class names of a single word",
            f"{len(single)} of {len(classes)} ({len(single) / len(classes):.0%}), {len(nouns)} of them product nouns",
        ),
        ("class names used twice or more", str(len(repeated))),
        (
            "`noqa` / `type: ignore`",
            f"{sum(t.count('# noqa') for t in texts)} / {sum(t.count('type: ignore') for t in texts)}",
        ),
        ("exceptions to “edges reach storage through services”", str(len(edges["ignore_imports"]))),
    )
    print("| measure | value |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    print(f"\nsingle words: {', '.join(sorted(set(single)))}\nrepeated: {', '.join(sorted(repeated))}")


if __name__ == "__main__":
    main()
