"""The code of the released version: that of the newest version tag, or of the last commit if there is none."""

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_REVISION = re.compile(r'^SCHEMA_REVISION: Final = "(\w+)"', re.MULTILINE)


@dataclass(frozen=True)
class Released:
    """A version of the service: its name, the folder of its packages, and the schema revision that it needs."""

    name: str
    source: Path
    revision: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which a process runs this version."""
        return {"PYTHONPATH": str(self.source)}


def released_version(folder: Path) -> Released:
    """Unpacks the released version into a folder."""
    name = _git("describe", "--tags", "--match=v*", "--abbrev=0") or (
        "HEAD" if _git("rev-parse", "HEAD") else ""
    )
    source = ROOT / "src"
    if name:
        packed = subprocess.run(
            ["git", "archive", name, "src"], cwd=ROOT, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        source = folder / "src"
    health = (source / "journey_service/repositories/operations/health.py").read_text(encoding="utf-8")
    match = _REVISION.search(health)
    assert match is not None
    return Released(name or "checkout", source, match[1])


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
