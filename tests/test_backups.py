"""Backups of a database in use, and their restore: rows, protection, erasures, damaged files."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from conftest import ERASURE_KEY, PATIENT, PEPPER, VAULT_KEY
from dumps import dump
from journey_service.cli import app
from journey_service.domain.access.actors import Actor
from journey_service.domain.customers.attributes import AttributeChanges
from journey_service.domain.events.event import Event, EventType
from journey_service.embedded import EmbeddedServers, ServerAddresses
from journey_service.gateways import encrypted_files
from journey_service.gateways.encrypted_files import EncryptedFileWriter, read_encrypted_file
from journey_service.repositories import migrations
from journey_service.repositories.database import Database
from journey_service.repositories.operations.health import SCHEMA_REVISION
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.customers.privacy import anonymize_customer
from journey_service.services.customers.profiles import put_customer
from journey_service.services.events.ingest import ingest
from journey_service.services.operations import health
from ledger import find_violations

KEY = "u4Yx0Jr8mQz2Lw6TnVb9Sd3HgKf7Pc1A"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BY = Actor("tests")
COMPANIES = (1, 2)
SECRETS = {
    "JOURNEY_KEY_PEPPER": PEPPER,
    "JOURNEY_ERASURE_KEY": ERASURE_KEY,
    "JOURNEY_VAULT_KEY": VAULT_KEY,
    "JOURNEY_ENVIRONMENT": "development",
    "MIGRATION_DATABASE_URL": None,
    "REDIS_URL": None,
}
OWNER = "backup_owner"


async def run(*arguments: object, url: str | None, status: int = 0, **environment: str) -> Result:
    variables = {**SECRETS, "DATABASE_URL": url, **environment}
    done = await asyncio.to_thread(CliRunner().invoke, app, [str(each) for each in arguments], env=variables)
    assert done.exit_code == status, (done.exit_code, done.output, done.exception)
    return done


def visit(customer: int, number: int, *, at: datetime = NOW) -> Event:
    name = f"visit-{customer}-{number}"
    return Event("tests", name, customer, EventType.APPOINTMENT_COMPLETED, at - number * DAY, 4_000)


async def fill(database: Database) -> None:
    """Creates two companies with customers, journeys, actions and attributes."""
    for company in COMPANIES:
        new = NewCompany(f"Company {company}", "UTC", "EUR", id=company, test_clock=NOW)
        await create_company(database, new, author=BY)
        await ingest(
            database, company, [visit(customer, number) for customer in (1, 2, 3) for number in range(4)]
        )
    for customer, name in ((1, "Ada\tTab\\N\nNew line"), (2, "Canary-Bea")):
        profile = {"name": name, "email": f"{customer}@example.org"}
        attributes = AttributeChanges({"since": "2026-01-31"})
        consents = {"email": "granted"}
        await put_customer(database, 1, customer, profile, consents=consents, attributes=attributes, by=BY)


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url, **PATIENT, erasure_key=ERASURE_KEY, vault_key=VAULT_KEY)
    try:
        yield database
    finally:
        await database.close()


async def contents(url: str) -> str:
    return await dump(ServerAddresses(url, None, {}))


@pytest.fixture(scope="module")
def key_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("keys") / "backup.key"
    file.write_text(f"{KEY}\n")
    return file


@pytest.fixture(scope="module")
async def filled(copied) -> None:
    """The template of a database with two companies."""
    async with opened(await copied("backup_filled")) as database:
        await fill(database)


@pytest.fixture
async def source(copied, filled) -> str:
    """The URL of a database with two companies."""
    return await copied("backup_source", "backup_filled")


@pytest.fixture
async def empty(copied) -> str:
    """The URL of a database without tables."""
    return await copied("backup_target", "template1")


async def make_backup(url: str, folder: Path, key_file: Path) -> Path:
    done = await run("backup", folder, "--key-file", key_file, "--json", url=url)
    return Path(json.loads(done.stdout)["file"])


async def test_a_restored_database_has_the_rows_and_the_protection_of_the_original(
    source, empty, tmp_path, key_file
):
    before = await contents(source)
    file = await make_backup(source, tmp_path, key_file)

    done = await run("restore", file, "--key-file", key_file, url=empty)

    assert "rows restored, 0 erasures re-applied" in done.stdout
    assert "journey_events: 24 rows" in done.stderr
    assert sorted((await contents(empty)).splitlines()) == sorted(before.splitlines())
    connection = await asyncpg.connect(empty)
    try:
        unprotected = await connection.fetch(
            "SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
            " AND relname <> 'alembic_version' AND NOT (relrowsecurity AND relforcerowsecurity)"
        )
        disabled = await connection.fetch("SELECT tgname FROM pg_trigger WHERE tgenabled = 'D'")
    finally:
        await connection.close()
    assert (unprotected, disabled) == ([], [])


async def test_a_backup_of_a_database_in_use_is_one_snapshot(source, empty, tmp_path, key_file):
    stop = asyncio.Event()
    stored = []

    async def send(database: Database) -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            await ingest(database, 1, [visit(100 + number % 7, number, at=NOW - DAY)])
            stored.append(number)

    async with opened(source) as database:
        sender = asyncio.create_task(send(database))
        await ingest(database, 2, [visit(50, 1)])
        file = await make_backup(source, tmp_path, key_file)
        stop.set()
        await sender
    await run("restore", file, "--key-file", key_file, url=empty)

    assert stored
    async with opened(empty) as restored:
        for company in COMPANIES:
            assert await find_violations(restored, company) == []
        assert await health.is_migrated(restored)


async def erase_after_backup(source: str, tmp_path: Path, key_file: Path) -> Path:
    """Makes a backup, then erases a customer of it and one that it does not contain; exports the journal."""
    file = await make_backup(source, tmp_path, key_file)
    async with opened(source) as database:
        await ingest(database, 1, [visit(77, 0)])
        for customer in (2, 77):
            await anonymize_customer(database, 1, customer, by=BY)
    await run("erasures", "export", "--to", tmp_path / "erasures.ndjson", url=source)
    return file


async def test_customers_erased_after_the_backup_stay_erased(source, empty, tmp_path, key_file):
    file = await erase_after_backup(source, tmp_path, key_file)

    done = await run("restore", file, "--key-file", key_file, url=empty)

    assert "1 erasures re-applied" in done.stdout
    assert "Canary-Bea" not in await contents(empty)
    async with opened(empty) as database:
        for customer in (2, 77):
            [answer] = await ingest(database, 1, [visit(customer, 9)])
            assert answer.status == "ignored_erased"
        assert await find_violations(database, 1) == []


async def test_the_check_detects_erased_customers_that_return(source, empty, tmp_path, key_file):
    file = await erase_after_backup(source, tmp_path, key_file)

    await run("restore", file, "--key-file", key_file, "--without-erasures", url=empty)

    assert "Canary-Bea" in await contents(empty)
    print("guard removed: detected")


async def test_numbers_given_after_the_backup_are_not_given_again(source, empty, tmp_path, key_file):
    file = await make_backup(source, tmp_path, key_file)
    given = "SELECT nextval('customer_numbers')"
    connection = await asyncpg.connect(source)
    later = [await connection.fetchval(given) for _ in range(3)]
    await connection.close()

    await run("restore", file, "--key-file", key_file, url=empty)

    connection = await asyncpg.connect(empty)
    next_ = await connection.fetchval(given)
    await connection.close()
    assert next_ > max(later)


async def test_a_restore_needs_a_journal_that_is_not_older(source, empty, tmp_path, key_file):
    async def refused(message: str, *options: object) -> None:
        done = await run("restore", file, "--key-file", key_file, *options, url=empty, status=1)
        assert message in done.stderr

    await run("erasures", "export", "--to", tmp_path / "old.ndjson", url=source)
    file = await make_backup(source, tmp_path, key_file)
    journal = tmp_path / "erasures.ndjson"
    await refused("is older than the backup", "--erasures", tmp_path / "old.ndjson")
    async with opened(source) as database:
        await anonymize_customer(database, 1, 2, by=BY)
    await run("erasures", "export", "--to", journal, url=source)
    head, *lines = journal.read_text().splitlines()
    journal.write_text("\n".join([head, *lines[1:]]))
    await refused("has 0 tombstones, and states 1")
    journal.unlink()
    await refused("does not exist: customers erased after the backup would return")


async def test_a_restore_deletes_nothing_unless_told(source, copied, tmp_path, key_file):
    file = await make_backup(source, tmp_path, key_file)
    target = await copied("backup_target")
    async with opened(target) as database:
        await create_company(database, NewCompany("Other", "UTC", "EUR", id=9), author=BY)
        in_use = await run("restore", file, "--key-file", key_file, "--replace", url=target, status=1)
    assert "in use by" in in_use.stderr
    refused = await run("restore", file, "--key-file", key_file, url=target, status=1)
    assert "not empty" in refused.stderr
    assert "Other" in await contents(target)

    await run("restore", file, "--key-file", key_file, "--replace", url=target)

    assert "Other" not in await contents(target)


async def test_another_erasure_key_is_refused_before_anything_is_written(source, empty, tmp_path, key_file):
    file = await make_backup(source, tmp_path, key_file)

    done = await run(
        "restore", file, "--key-file", key_file, url=empty, status=1, JOURNEY_ERASURE_KEY="A" + ERASURE_KEY
    )

    assert "JOURNEY_ERASURE_KEY: is not the key of the database in the backup" in done.stderr
    assert await contents(empty) == ""


async def test_a_damaged_backup_is_refused_before_anything_is_written(source, empty, tmp_path, key_file):
    file = await make_backup(source, tmp_path, key_file)
    original = file.read_bytes()
    other = tmp_path / "other.key"
    other.write_text("Zp7Lr2Wq9Xt4Bn6Mc1Vs8Ky3Hd5Gf0Ju")

    async def refused(content: bytes, message: str, key: Path = key_file) -> None:
        damaged = tmp_path / "damaged.backup"
        damaged.write_bytes(content)
        done = await run("restore", damaged, "--key-file", key, url=empty, status=1)
        assert message in done.stderr

    await refused(original, "was encrypted with another key", other)
    await refused(original[:-1], "is damaged or truncated")
    await refused(original[: len(original) // 2], "is damaged or truncated")
    await refused(b"", "is not a backup of this service")
    await refused(original + b"x", "is damaged or truncated")
    for position in (0, 20, 60, 70, len(original) // 2, len(original) - 1):
        await refused(_flipped(original, position), "damage")
    assert await contents(empty) == ""


def _flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


async def test_a_backup_contains_no_plain_text_and_is_private(source, tmp_path, key_file):
    file = await make_backup(source, tmp_path, key_file)

    assert b"Canary" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["erasures.ndjson", file.name]


async def test_a_guessable_key_is_refused(source, tmp_path):
    weak = tmp_path / "weak.key"
    weak.write_text("backup1234")

    done = await run("backup", tmp_path, "--key-file", weak, url=source, status=1)

    assert "can be guessed" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["weak.key"]


async def test_an_owner_under_row_level_security_backs_up_and_restores_every_company(
    source, empty, servers, tmp_path, key_file
):
    """The login that owns the tables is no superuser, and sees one company at a time."""
    root = await asyncpg.connect(servers.database_url)
    logins = {}
    try:
        await _create_owner(root)
        for name in ("owned_source", "owned_target"):
            await root.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await root.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
            host = servers.database_url.rsplit("@", 1)[1].rsplit("/", 1)[0]
            logins[name] = f"postgresql://{OWNER}:{KEY}@{host}/{name}"
        await asyncio.to_thread(migrations.upgrade, logins["owned_source"])
        async with opened(logins["owned_source"]) as database:
            await fill(database)
        owned = servers.database_url.rsplit("/", 1)[0] + "/owned_"
        before = await contents(owned + "source")
        file = await make_backup(logins["owned_source"], tmp_path, key_file)

        await run("restore", file, "--key-file", key_file, url=logins["owned_target"])

        assert sorted((await contents(owned + "target")).splitlines()) == sorted(before.splitlines())
        assert before.count("journey_events ") == 24
    finally:
        for name in logins:
            await root.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await root.close()


async def _create_owner(root: asyncpg.Connection) -> None:
    """Creates a login that is a member of the roles of the service, and may create roles."""
    with contextlib.suppress(asyncpg.DuplicateObjectError):
        await root.execute(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{KEY}' CREATEROLE NOSUPERUSER NOBYPASSRLS")
    roles = await root.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'journey\\_%'")
    await root.execute(f"GRANT {', '.join(row['rolname'] for row in roles)} TO {OWNER}")


async def test_a_data_directory_is_restored_with_its_secrets(tmp_path, key_file):
    """A new machine: no database, no roles, and no secrets but those of the backup."""
    first, second, folder = tmp_path / "first", tmp_path / "second", tmp_path / "backups"
    folder.mkdir()
    with EmbeddedServers(first, with_valkey=False, postgres_settings={"fsync": "off"}) as servers:
        await asyncio.to_thread(migrations.upgrade, servers.database_url)
        secrets = servers.secrets
        database = Database(
            servers.database_url,
            erasure_key=secrets["erasure_key"],
            vault_key=secrets["vault_key"],
            **PATIENT,
        )
        await fill(database)
        await database.close()
        root = await asyncpg.connect(servers.database_url)
        await root.execute(
            "CREATE ROLE front_desk LOGIN; GRANT journey_app, journey_dispatcher TO front_desk"
        )
        await root.close()
    done = await run("backup", folder, "--key-file", key_file, "--data-dir", first, "--json", url=None)
    file = Path(json.loads(done.stdout)["file"])
    shutil.rmtree(first)

    done = await run("restore", file, "--key-file", key_file, "--data-dir", second, url=None)

    assert "Set the passwords of new logins of: front_desk" in done.stderr
    stored = json.loads((second / "secrets.json").read_text())
    assert {name: stored[name] for name in ("key_pepper", "erasure_key", "vault_key")} == {
        name: secrets[name] for name in ("key_pepper", "erasure_key", "vault_key")
    }
    checked = await run("health-check", "--company", 1, "--data-dir", second, "--json", url=None)
    found = json.loads(checked.stdout)
    assert {check["status"] for check in found["checks"]} == {"ok"}
    assert SCHEMA_REVISION in checked.stdout
    again = await run("restore", file, "--key-file", key_file, "--data-dir", second, url=None, status=1)
    assert "not empty" in again.stderr


def encrypted(path: Path, size: int) -> bytes:
    content = bytes(range(256)) * (size // 256)
    with EncryptedFileWriter(path, KEY) as file:
        for start in range(0, len(content), 300_000):
            file.write(content[start : start + 300_000])
    return content


@pytest.mark.parametrize("size", [0, 256, 1 << 20, 3 << 20, (3 << 20) + 256])
def test_files_of_all_sizes_are_read_as_they_were_written(tmp_path, size):
    content = encrypted(tmp_path / "file", size)
    assert b"".join(read_encrypted_file(tmp_path / "file", KEY)) == content


def _chunks(raw: bytes) -> tuple[bytes, list[bytes]]:
    header, step = 65, (1 << 20) + 16
    return raw[:header], [raw[start : start + step] for start in range(header, len(raw), step)]


@pytest.mark.parametrize("change", ["dropped", "swapped", "repeated"])
def test_whole_chunks_cannot_be_dropped_swapped_or_repeated(tmp_path, change):
    encrypted(tmp_path / "file", 3 << 20)
    header, chunks = _chunks((tmp_path / "file").read_bytes())
    changed = {
        "dropped": chunks[:-1],
        "swapped": [chunks[1], chunks[0], *chunks[2:]],
        "repeated": [chunks[0], *chunks],
    }[change]
    (tmp_path / "file").write_bytes(header + b"".join(changed))
    with pytest.raises(Exception, match="is damaged or truncated"):
        list(read_encrypted_file(tmp_path / "file", KEY))


def test_the_check_detects_a_missing_mark_of_the_last_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(encrypted_files, "_nonce", lambda number, **_: number.to_bytes(12, "big"))
    content = encrypted(tmp_path / "file", 3 << 20)
    header, chunks = _chunks((tmp_path / "file").read_bytes())
    (tmp_path / "file").write_bytes(header + b"".join(chunks[:-1]))

    assert b"".join(read_encrypted_file(tmp_path / "file", KEY)) == content[: 2 << 20]
    print("guard removed: detected")


def test_a_failed_backup_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), EncryptedFileWriter(tmp_path / "file", KEY) as file:
        file.write(b"begun")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
