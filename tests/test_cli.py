"""The `journey` command, run as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from processes import free_port

pytestmark = pytest.mark.big

T = TypeVar("T")

OPERATOR = "jrn_up_0123456789abcdef0123456789abcdef"
HISTORY = "customer_id,occurred_at,event_type,amount\n" + "".join(
    f"{n},2024-0{1 + n % 9}-01,appointment_completed,400\n{n},2024-0{1 + n % 9}-20,appointment_completed,800\n"
    for n in range(30)
)


def _journey(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "journey_service.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def _parent(pid: int) -> int | None:
    """Returns the parent of a process; None if the process has ended, even as a zombie."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)


def _words(pid: int) -> list[str]:
    """Returns the words of a process's command after `journey`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
    module = next((n for n, word in enumerate(words) if word.startswith("journey_service.cli")), len(words))
    return words[module + 1 :][:1]


def _await(condition: Callable[[], T | None], seconds: float = 300) -> T:
    """Waits until the condition returns a true value, and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise TimeoutError


class UpProcess:
    """A process of `journey up` on a data directory."""

    def __init__(self, folder: Path, *options: str, is_background: bool = False) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        command = (sys.executable, "-m", "journey_service.cli", "up", "--port", str(port))
        # Shells start background jobs with SIGINT ignored.
        shell = ("sh", "-c", 'trap "" INT; exec "$@"', "sh") if is_background else ()
        self._process = subprocess.Popen(
            [*shell, *command, "--data-dir", str(folder), *options],
            env={**os.environ, "JOURNEY_BOOTSTRAP_KEY": OPERATOR},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @classmethod
    def ready(cls, folder: Path, *options: str) -> "UpProcess":
        """Starts the process and waits until the API is ready."""
        up = cls(folder, *options)
        up.await_ready()
        return up

    def await_ready(self) -> None:
        """Waits until the API is ready."""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(self._process.communicate()[0])
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        raise TimeoutError("not ready")

    @property
    def pid(self) -> int:
        return self._process.pid

    def child(self, command: str) -> int | None:
        """Returns the process id of its child that runs a command; None if there is none."""
        for entry in Path("/proc").iterdir():
            pid = int(entry.name) if entry.name.isdigit() else 0
            if pid and _parent(pid) == self.pid and command in _words(pid):
                return pid
        return None

    def worker(self) -> int | None:
        """Returns the process id of its worker; None if there is none."""
        return self.child("worker")

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self._process.send_signal(how)
        printed, _ = self._process.communicate(timeout=300)
        return self._process.returncode, printed

    def post(self, path: str, body: object) -> dict[str, object]:
        answer = httpx.post(
            f"{self.url}/api/v1{path}",
            json=body,
            headers={"Authorization": f"Bearer {OPERATOR}"},
            timeout=300,
        )
        assert answer.is_success, answer.text
        return answer.json()


def test_up_starts_on_an_empty_directory_survives_sigkill_and_serves_commands(tmp_path):
    folder = tmp_path / "a folder"
    history = tmp_path / "history.csv"
    history.write_text(HISTORY, encoding="utf-8")

    up = UpProcess.ready(folder, "--no-demo")
    page = httpx.get(f"{up.url}/", timeout=300, follow_redirects=True)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>Customer journeys</h1>" in page.text
    assert httpx.get(f"{up.url}/readyz", timeout=300).json()["status"] == "ok"
    up.post("/admin/companies", {"id": 7, "name": "Seven", "timezone": "UTC", "currency": "EUR"})
    secret = up.post("/admin/companies/7/keys", {"name": "tests", "scopes": ["*"]})["secret"]
    company = ("--company", "7", "--data-dir", str(folder))
    values = json.loads(
        _journey("import", str(history), *company, "--until", "2025-01-01T00:00:00Z", "--json").stdout
    )
    assert (values["applied"], values["failed"]) == (60, 0)
    assert _journey("sign-in-link", *company).stdout.startswith(f"{up.url}/sign-in/link/")
    assert OPERATOR not in up.end(signal.SIGKILL)[1]

    up = UpProcess.ready(folder, "--no-demo")
    key = {"Authorization": f"Bearer {secret}"}
    found = httpx.get(f"{up.url}/api/v1/customers", params={"limit": 200}, headers=key, timeout=300).json()
    assert {item["journey"]["lifetime_value"] for item in found["items"]} == {1200.0}
    assert len(found["items"]) == 30
    status, _ = up.end()
    assert status == 0
    assert not (folder / "running.json").exists()

    # No instance is running: the commands start the servers themselves.
    again = json.loads(
        _journey("import", str(history), *company, "--until", "2025-01-01T00:00:00Z", "--json").stdout
    )
    assert (again["applied"], again["duplicates"], again["transitions"]) == (0, 60, 0)
    made = _journey("keys", "create", "by hand", *company, "--scope", "customers:read").stdout.strip()
    listed = _journey("keys", "list", *company).stdout
    assert made.split("_")[1] in listed
    assert made not in listed
    _journey("keys", "revoke", made.split("_")[1], *company)
    assert "revoked" in _journey("keys", "list", *company).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not signal a child when its owner ends")
def test_the_worker_of_up_is_restarted_and_ends_with_its_owner(tmp_path):
    up = UpProcess.ready(tmp_path / "folder", "--no-demo")
    try:
        first = _await(up.worker)
        os.kill(first, signal.SIGKILL)
        second = _await(lambda: found if (found := up.worker()) != first else None)
        assert _parent(second) == up.pid
    finally:
        up.end(signal.SIGKILL)
    _await(lambda: _parent(second) is None)

    up = UpProcess(tmp_path / "folder", "--no-demo", is_background=True)
    up.await_ready()
    third = _await(up.worker)
    status, printed = up.end()
    assert (status, _parent(third)) == (0, None)
    assert "is restarted" not in printed


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not signal a child when its owner ends")
def test_a_child_without_a_parent_death_signal_outlives_its_owner():
    # Control of the test above: without the parent death signal, the child of a killed owner keeps running.
    starts = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0)"
    owner = subprocess.Popen(
        [sys.executable, "-c", f"{starts}; print(child.pid, flush=True); child.wait()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        child = int(owner.stdout.readline())
        owner.kill()
        owner.wait()
        assert _parent(child) is not None
        owner.stdin.close()
    _await(lambda: _parent(child) is None)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not signal a child when its owner ends")
def test_all_api_processes_end_with_up(tmp_path):
    up = UpProcess.ready(tmp_path / "folder", "--no-demo", "--workers", "2")
    up.end(signal.SIGKILL)

    def is_unreachable() -> bool:
        try:
            httpx.get(f"{up.url}/livez", timeout=5)
        except httpx.ConnectError:
            return True
        except httpx.HTTPError:
            return False
        return False

    assert _await(is_unreachable)


@pytest.mark.skipif(sys.platform != "linux", reason="the processes are found in /proc")
def test_every_process_of_up_is_restarted_and_reported(tmp_path):
    folder = tmp_path / "folder"
    up = UpProcess.ready(folder, "--no-demo")
    up.post("/admin/companies", {"id": 7, "name": "Seven", "timezone": "UTC", "currency": "EUR"})

    def postgres() -> int | None:
        try:
            lines = (folder / "postgres" / "postmaster.pid").read_bytes().splitlines()
        except FileNotFoundError:
            return None
        return int(lines[0]) if lines[7:8] and lines[7].strip() == b"ready" else None

    def valkey() -> int:
        return int((folder / "valkey.pid").read_text() or 0)

    for find in (valkey, postgres, lambda: up.child("api"), up.worker):
        first = _await(find)
        os.kill(first, signal.SIGKILL)
        assert _await(lambda find=find, first=first: (found := find()) and found != first)
    up.await_ready()
    again = {"id": 8, "name": "Eight", "timezone": "UTC", "currency": "EUR"}
    assert up.post("/admin/companies", again)["id"] == 8
    status, printed = up.end()
    assert status == 0
    for name in ("valkey", "postgres", "api", "worker"):
        assert f"{name} is restarted." in printed


def test_up_refuses_a_port_that_is_taken_before_anything_is_started(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _journey("up", "--no-demo", "--port", port, "--data-dir", str(tmp_path / "f"), check=False)
    assert (done.returncode, f"port {port} is in use; choose another with --port" in done.stderr) == (
        1,
        True,
    ), done.stderr
    assert not (tmp_path / "f").exists()


def test_up_creates_four_demo_companies_with_histories_and_keys(tmp_path):
    up = UpProcess.ready(tmp_path / "demo", "--demo")
    answers = {}
    try:
        printed = ""
        while "jrn_demo-4_" not in printed:
            printed += up._process.stdout.readline()
        tokens = re.findall(r"^Demo company (\d), .+: (jrn_demo\S*)$", printed, re.MULTILINE)
        assert [company for company, _ in tokens] == ["1", "2", "3", "4"]
        for company, token in tokens:
            key = {"Authorization": f"Bearer {token}"}
            found = httpx.get(
                f"{up.url}/api/v1/customers", params={"limit": 200}, headers=key, timeout=300
            ).json()
            answers[company] = {item["journey"]["current_stage"] for item in found["items"]}
    finally:
        up.end()
    assert answers["1"] >= {"lead", "customer", "regular", "vip", "at_risk", "churned"}
    assert all(len(stages) > 2 for stages in answers.values()), answers


def test_up_ends_in_order_while_the_demo_is_being_created(tmp_path):
    folder = tmp_path / "data"
    up = UpProcess(folder, "--demo", is_background=True)
    _await((folder / "mail").is_dir)  # the first emails of the history
    status, printed = up.end()
    assert (status, "Traceback" in printed) == (0, False), printed


def test_commands_report_errors_and_end_with_a_status(tmp_path):
    assert "DATABASE_URL" in (done := _journey("keys", "list", "--company", "1", check=False)).stderr
    assert done.returncode != 0
    done = _journey("import", str(tmp_path / "missing.csv"), "--company", "1", check=False)
    assert done.returncode != 0
    history = tmp_path / "history.csv"
    history.write_text(HISTORY, encoding="utf-8")
    nowhere = tmp_path / "nowhere"
    done = _journey("import", str(history), "--company", "1", "--data-dir", str(nowhere), check=False)
    assert (
        done.returncode != 0,
        "is not a `journey up` data directory" in done.stderr,
        nowhere.exists(),
    ) == (True, True, False)
    for command in ("migrate", "api", "worker"):
        done = _journey(command, check=False)
        assert (done.returncode, "DATABASE_URL" in done.stderr, "Traceback" in done.stderr) == (
            1,
            True,
            False,
        )


def test_the_published_contract_is_printed():
    document = json.loads(_journey("openapi").stdout)
    assert document["openapi"].startswith("3.1")
