"""The customer list: folding, search, filters and orders equal a literal computation; each order has an index."""

# ruff: noqa: RUF001  # letters of several alphabets

import json
import operator
import random
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import asyncpg
import pytest

from conftest import PATIENT
from journey_service.domain.access.actors import Actor
from journey_service.domain.customers.attributes import AttributeFilter, parse_attribute_filter
from journey_service.domain.customers.records import SORTS, CustomerFilter
from journey_service.domain.row_counts import MAX_COUNTED, RowCount
from journey_service.repositories.customers.lists import attributes, customer_list, reading, search
from journey_service.repositories.customers.lists.customer_list import CustomerList
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company
from server_versions import each_has_its_sql

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAGES = ("prospect", "customer", "vip", "at_risk")
NAMES = (
    None,
    "",
    "Jürgen Müller",
    "Juergen Mueller",
    "jurgen muller",
    "MÜLLER-LÜDENSCHEIDT, Anna",
    "Ada Lovelace",
    "Søren O'Neill",
    "Łukasz Żak",
    "Zoë Straße",
    "Иван Йожин",
    "Άννα Παπά",
    "李小龙",
    "100% Hair_Care \\ Co",
)
QUERIES = (
    *(
        "mueller",
        "muller",
        "Müller",
        "MULLER",
        "jurgen",
        "juergen",
        "j",
        "mu",
        "lovelace ada",
        "ada  LOVE",
        "oneill",
    ),
    *(
        "o'neill",
        "soeren",
        "soren",
        "lukasz",
        "zak",
        "strasse",
        "STRAßE",
        "zoe",
        "иван",
        "анна",
        "αννα",
        "李小",
        "%",
        "_",
    ),
    *(
        "100%",
        "hair_care",
        "ann",
        "no such name",
        "+49 30",
        "030",
        "12",
        "123",
        "0049",
        "7@mail.example",
        "mail.example",
    ),
    *("lüdenscheidt anna", "luedenscheidt", "anna-lüdenscheidt", "'", "-7", "7"),
)
SIZE = 240


# ---- folding


FOLDED = [
    ("Müller", "muller", "mueller"),
    ("Mu\u0308ller", "muller", "mueller"),
    ("MÜLLER", "muller", "mueller"),
    ("Jürgen Straße", "jurgen strasse", "juergen strasse"),
    ("Ærø Åse Øst", "aero ase ost", "aeroe aase oest"),
    ("Łukasz Żółć", "lukasz zolc", "lukasz zolc"),
    ("ĐORĐE Đurić", "dorde duric", "dorde duric"),
    ("Iğdır İstanbul", "igdir istanbul", "igdir istanbul"),
    ("Þór Œuvre", "thor oeuvre", "thor oeuvre"),
    ("Nguyễn Thị Ánh", "nguyen thi anh", "nguyen thi anh"),
    ("O'Neill O\u2019Neill", "oneill oneill", "oneill oneill"),
    ("Anna-Lena  von_der/Au ", "anna lena von der au", "anna lena von der au"),
    ("ИВАН Йожин Ёлка", "иван иожин елка", "иван иожин елка"),
    ("ΆΝΝΑ", "αννα", "αννα"),
    ("ada@mail.example", "ada mail example", "ada mail example"),
    ("100% \\ \t\n", "100", "100"),
    ("李小龙 😀", "李小龙 😀", "李小龙 😀"),
    ("", "", ""),
    (None, None, None),
]


# Letters that do not decompose.
BASES = dict(zip("øđðłħıŧŋĸς", "oddlhitnkσ", strict=True)) | {"æ": "ae", "œ": "oe", "þ": "th", "ß": "ss"}


@pytest.fixture(scope="module")
async def owner(servers):
    """A connection of the owner of the database."""
    connection = await asyncpg.connect(servers.database_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize(("written", "plain", "german"), FOLDED, ids=ascii)
async def test_text_is_folded_with_and_without_german_digraphs(owner, written, plain, german):
    row = await owner.fetchrow("SELECT fold_text($1) AS plain, fold_umlauts($1) AS german", written)

    assert (row["plain"], row["german"]) == (plain, german)


async def test_every_letter_with_an_accent_is_folded_to_its_base_letter(owner):
    ranges = (range(0xC0, 0x250), range(0x370, 0x530), range(0x1E00, 0x2000))
    letters = [chr(code) for each in ranges for code in each if chr(code).isalpha()]
    folded = await owner.fetch("SELECT l, fold_text(l) AS f FROM unnest($1::text[]) AS l", letters)

    wrong = {}
    for row in folded:
        lower = row["l"].lower()
        plain = [c for c in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(c)]
        expected = "".join(BASES.get(letter, letter) for letter in plain).lower().replace("ʼ", "")
        if expected != lower and row["f"] != " ".join(re.sub(r"[ -/]+", " ", expected).split()):
            wrong[row["l"]] = row["f"]
    assert wrong == {}


async def test_the_database_generates_and_clears_the_search_text(owner):
    row = await owner.fetchrow(
        "SELECT search_text(-4711, 'K-07/1', 'Jürgen Müller', 'J.Mueller@mail.example', '030 12-34', '49301234')"
        " AS all,"
        " search_text(12, NULL, NULL, NULL, NULL, NULL) AS none,"
        " search_text(12, '00-7.1', NULL, NULL, NULL, NULL) AS digits"
    )

    assert row["all"] == " 4711 k 07 1 jurgen muller juergen mueller j mueller mail example 0301234 49301234"
    assert row["none"] == " 12"
    assert row["digits"] == " 12 00 7 1 0071"


# ---- filters, orders and pages


def _people(seed: int) -> list[dict[str, object]]:
    chance = random.Random(seed)
    return [
        {
            "customer_id": number if number % 9 else -number,
            "name": chance.choice(NAMES),
            "email": chance.choice((None, f"{number}@mail.example")),
            "phone": chance.choice((None, "+49 30 123", f"0049/{number}")),
            "consents": chance.choice((None, "granted", "withdrawn")),
            "attributes": chance.choice(
                ({}, {"plan": "gold"}, {"plan": "gold", "visits": 12.5}, {"visits": 3, "since": "2026-01-31"})
            ),
            "current_stage": chance.choice(STAGES),
            "stage_entered_at": NOW - timedelta(days=chance.randrange(5)),
            "lifetime_value": Decimal(chance.choice((0, 0, -5, 12.5, 12.34, 1000))).quantize(Decimal("0.01")),
            "total_appointments": chance.randrange(4),
            "last_appointment_at": chance.choice(
                (None, *(NOW - timedelta(days=n) for n in (0, 10, 10.5, 60)))
            ),
            "risk_score": Decimal(chance.choice((0, 0, 30, 70, 100))) / 100,
            "engagement_score": Decimal(chance.choice((0, 50, 100))) / 100,
            "churn_probability": chance.choice((None, Decimal(0), Decimal("0.3333"), Decimal(1))),
            "owner": chance.choice((None, "ben", "cem")),
            "pin_until": chance.choice((None, None, NOW + timedelta(days=1))),
        }
        for number in range(1, SIZE + 1)
    ]


async def _insert(connection, company_id: int, people) -> None:
    await connection.executemany(
        "INSERT INTO customers (company_id, customer_id, name, email, phone, attributes, consents)"
        " VALUES ($1, $2, $3, $4, $5, $7::jsonb,"
        " CASE WHEN $6::text IS NULL THEN '{}' ELSE jsonb_build_object('email', jsonb_build_object('status', $6::text,"
        " 'at', '2026-01-01T00:00:00Z', 'source', 'x')) END)",
        [
            (
                company_id,
                *(one[name] for name in ("customer_id", "name", "email", "phone", "consents")),
                json.dumps(one["attributes"]),
            )
            for one in people
        ],
    )
    names = [
        *("customer_id", "current_stage", "stage_entered_at", "lifetime_value", "total_appointments"),
        *("last_appointment_at", "risk_score", "engagement_score", "churn_probability", "owner", "pin_until"),
    ]
    values = ", ".join(f"${number}" for number in range(2, len(names) + 2))
    await connection.executemany(
        f"INSERT INTO customer_relationships (company_id, version, {', '.join(names)}) VALUES ($1, 1, {values})",
        [(company_id, *(one[name] for name in names)) for one in people],
    )


@pytest.fixture(scope="module")
async def crowd(create_test_company, owner):
    """A company, its customers, and a neighbour with the same ones."""
    tenant, neighbour = await create_test_company(), await create_test_company()
    people = _people(7)
    await _insert(owner, tenant.id, people)
    await _insert(owner, neighbour.id, people)
    return tenant.id, people


def _fold(value: str, digraphs: dict[str, str]) -> str:
    value = unicodedata.normalize("NFC", value)
    for letter, digraph in digraphs.items():
        value = value.replace(letter, digraph).replace(letter.upper(), digraph)
    value = value.replace("ß", "ss").replace("ø", "o").replace("ł", "l").replace("Ł", "l")
    value = "".join(c for c in unicodedata.normalize("NFD", value.lower()) if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\x00-\x2f:-@\[-`{-\x7f]+", " ", value.replace("'", "")).split())


DIGRAPHS = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"}


def _text(one) -> str:
    name, email, phone = (one[field] or "" for field in ("name", "email", "phone"))
    parts = (
        *(str(abs(one["customer_id"])), _fold(name, {}), _fold(name, DIGRAPHS), _fold(email, {})),
        "".join(filter(str.isdigit, phone)),
    )
    return " " + " ".join(part for part in parts if part)


def _matches(one, q: str) -> bool:
    if re.fullmatch(r"[\d\s+()/.-]*\d[\d\s+()/.-]*", q):
        phrases = [["".join(filter(str.isdigit, q)).lstrip("0") or "0"]]
    elif "@" in q:
        phrases = [[_fold(q, {})], [_fold(q, DIGRAPHS)]]
    else:
        phrases = [_fold(q, {}).split(), _fold(q, DIGRAPHS).split()]
    text = _text(one)
    return any(
        all((word if len(word) > 2 else f" {word}") in text for word in words if word) for words in phrases
    )


def _passes(one, filter_: CustomerFilter) -> bool:
    last, status = one["last_appointment_at"], one["consents"] or "unknown"
    within = (
        (one["risk_score"] * 100, filter_.risk_min, filter_.risk_max),
        (one["lifetime_value"], filter_.value_min, filter_.value_max),
        (one["total_appointments"], filter_.appointments_min, filter_.appointments_max),
    )
    return (
        (not filter_.stages or one["current_stage"] in filter_.stages)
        and (not filter_.ids or one["customer_id"] in filter_.ids)
        and all(
            (low is None or low <= value) and (high is None or value <= high) for value, low, high in within
        )
        and (
            filter_.inactive_days_min is None
            or (last is not None and (NOW - last).days >= filter_.inactive_days_min)
        )
        and (filter_.owner is None or one["owner"] == filter_.owner)
        and (filter_.is_pinned is None or (one["pin_until"] is not None) == filter_.is_pinned)
        and (filter_.consent is None or filter_.consent == ("email", status))
        and all(_has(one["attributes"], each) for each in filter_.attributes)
        and (not filter_.q or _matches(one, filter_.q))
    )


COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _has(attributes, filter_: AttributeFilter) -> bool:
    value = attributes.get(filter_.name)
    if filter_.operator == ":":
        return str(value) in filter_.value
    if isinstance(filter_.value, Decimal):
        return isinstance(value, int | float) and COMPARISONS[filter_.operator](value, filter_.value)
    return isinstance(value, str) and COMPARISONS[filter_.operator](value, filter_.value.isoformat())


def _key(one, sort: str) -> tuple[object, int]:
    name = sort.removeprefix("-")
    if name == "name":
        return _fold(one["name"] or "", {}), one["customer_id"]
    if name == "last_appointment_at":
        return one[name] or datetime.min.replace(tzinfo=UTC), one["customer_id"]
    if name == "expected_loss":
        # In thousandths: PostgreSQL rounds halves away from zero, as Python does not.
        loss = (one["churn_probability"] or 0) * max(one["lifetime_value"], Decimal(0)) * 1000
        return Decimal(loss).to_integral_value(ROUND_HALF_UP), one["customer_id"]
    return one[name], one["customer_id"]


def _literal(people, filter_: CustomerFilter) -> list[int]:
    found = [one for one in people if _passes(one, filter_)]
    ordered = sorted(found, key=lambda one: _key(one, filter_.sort), reverse=filter_.sort.startswith("-"))
    return [one["customer_id"] for one in ordered]


async def _listed(database: Database, company_id: int, **filter_) -> list[int]:
    """All pages of a list."""
    ids, after = [], None
    while True:

        async def unit(uow, after=after):
            return await uow.customer_list.page(CustomerFilter(**filter_, after=after), NOW)

        rows, _ = await database.run(company_id, unit)
        ids += [row.profile.customer_id for row in rows]
        if len(rows) < filter_.get("limit", 50):
            return ids
        after = rows[-1].key


def _some_filter(chance: random.Random) -> dict[str, object]:
    options = {
        "stages": chance.sample(STAGES, chance.randrange(1, 4)),
        "ids": [chance.randrange(-SIZE, SIZE) for _ in range(60)],
        "risk_min": chance.choice((0, 30, 71)),
        "risk_max": chance.choice((0, 30, 70, 99)),
        "value_min": Decimal(chance.choice(("-5", "0.001", "12.34", "12.345"))),
        "value_max": Decimal(chance.choice(("-5.001", "0", "12.349", "1000"))),
        "appointments_min": chance.randrange(4),
        "appointments_max": chance.randrange(4),
        "inactive_days_min": chance.choice((0, 10, 11, 60)),
        "owner": chance.choice(("ben", "x")),
        "is_pinned": chance.choice((True, False)),
        "consent": ("email", chance.choice(("granted", "withdrawn", "unknown"))),
        "q": chance.choice(QUERIES),
        "attributes": [
            parse_attribute_filter(text, "")
            for text in chance.sample(
                ("plan:gold", "visits>=3", "visits<12.5", "visits:3", "since<=2026-01-31"),
                chance.choice((1, 2)),
            )
        ],
    }
    names = chance.sample(sorted(options), chance.choice((0, 1, 1, 2, 3)))
    return {name: options[name] for name in names}


LISTS = "journey_service.repositories.customers.lists"
# How many customers are few: none, some or all of the company's. Each leads to another way to read the same list.
LIMITS = {
    f"{LISTS}.ordered_lists.MAX_NARROW": (0, 30, 10_000),
    f"{LISTS}.attributes.MAX_ATTRIBUTED": (0, 30, 10_000),
    f"{LISTS}.search.MAX_FOUND": (0, 30, 10_000),
    f"{LISTS}.reading.MAX_COMPARED": (1, 30, 10_000),
    f"{LISTS}.reading.MAX_COMPARED_ALONE": (1, 30, 10_000),
    f"{LISTS}.reading.COMPARED_PER_ROW": (0, 1, 40),
}


@each_has_its_sql
@pytest.mark.parametrize("seed", range(10))
async def test_the_pages_of_any_list_equal_a_literal_computation(database, crowd, seed, monkeypatch):
    company_id, people = crowd
    chance = random.Random(seed)
    for _ in range(15):
        for name, limits in LIMITS.items():
            monkeypatch.setattr(name, chance.choice(limits))
        filter_ = {
            **_some_filter(chance),
            "sort": chance.choice(SORTS),
            "limit": chance.choice((3, 7, 50, 200)),
        }

        assert await _listed(database, company_id, **filter_) == _literal(
            people, CustomerFilter(**filter_)
        ), filter_


@each_has_its_sql
@pytest.mark.parametrize("q", QUERIES)
async def test_a_search_equals_a_literal_computation_in_each_way_to_read_it(database, crowd, q, monkeypatch):
    company_id, people = crowd
    expected = {sort: _literal(people, CustomerFilter(q=q, sort=sort)) for sort in ("-name", "customer_id")}

    for compared, most in ((10_000, 10_000), (1, 10_000), (1, 0)):
        monkeypatch.setattr(reading, "MAX_COMPARED", compared)
        monkeypatch.setattr(reading, "MAX_COMPARED_ALONE", compared)
        monkeypatch.setattr(reading, "COMPARED_PER_ROW", 0)
        monkeypatch.setattr(search, "MAX_FOUND", most)
        for sort, ids in expected.items():
            assert await _listed(database, company_id, q=q, sort=sort) == ids, (compared, most)


async def test_the_searches_above_find_something(crowd):
    found = {q for q in QUERIES if _literal(crowd[1], CustomerFilter(q=q))}

    assert {"mueller", "muller", "Müller", "jurgen", "soeren", "oneill", "иван", "李小"} <= found
    # A name with an umlaut is found by both spellings; a query with one finds names in both.
    german, plain, both = (
        {*_literal(crowd[1], CustomerFilter(q=q))} for q in ("mueller", "muller", "Müller")
    )
    assert german != plain
    assert german | plain == both


@pytest.mark.parametrize("most", [MAX_COUNTED, 5])
async def test_a_count_is_exact_up_to_the_limit_and_estimated_beyond(database, crowd, monkeypatch, most):
    company_id, people = crowd
    monkeypatch.setattr("journey_service.repositories.counting.MAX_COUNTED", most)
    for stages in ((), ("vip",), ("none",)):
        filter_ = CustomerFilter(stages=stages, is_counted=True, limit=2)

        _, count = await database.run(company_id, lambda uow, f=filter_: uow.customer_list.page(f, NOW))

        expected = len(_literal(people, filter_))
        if expected <= most:
            assert count == RowCount(total=expected)
        else:
            assert count.total is None
            assert count.estimate > most


# ---- the index of each order and of the search


LARGE = 6_000
ACROSS_STAGES = {"customer_id", "name"}
INDEXES = {
    "customer_id": "unique_company_customer",
    "name": "ix_customers_by_name",
    "risk_score": "idx_stage_risk",
    "engagement_score": "ix_stage_engagement",
    "expected_loss": "ix_stage_expected_loss",
    "lifetime_value": "ix_stage_lifetime_value",
    "last_appointment_at": "ix_stage_last_appointment",
    "stage_entered_at": "idx_stage",
}


@pytest.fixture(scope="module")
async def large(copied):
    """A database of its own with one company of some thousand customers, and statistics of them."""
    url = await copied("customer_lists")
    database = Database(url, pool_size=1, **PATIENT)
    await create_company(database, NewCompany("A test", "UTC", "EUR", id=1), author=Actor("tests"))
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO customers (company_id, customer_id, name, email, attributes)"
        " SELECT 1, n, md5(n::text), n || '@mail.example', jsonb_build_object('visits', n,"
        " 'plan', CASE WHEN n % 600 = 0 THEN 'gold' ELSE 'silver' END,"
        " 'since', CASE WHEN n % 600 = 0 THEN '2026-01-31' ELSE '2025-01-31' END) FROM generate_series(1, $1::int) n",
        LARGE,
    )
    await connection.execute(
        "INSERT INTO customer_relationships (company_id, customer_id, version, current_stage, stage_entered_at,"
        " lifetime_value, last_appointment_at, risk_score, churn_probability, engagement_score)"
        " SELECT 1, n, 1, ($3::text[])[1 + n * 4 / ($1 + 1)],"
        " $2::timestamptz - n * interval '1 minute', n, $2::timestamptz - n * interval '1 hour', (n % 100) / 100.0,"
        " (n % 70) / 100.0, (n % 90) / 100.0 FROM generate_series(1, $1::int) n",
        LARGE,
        NOW,
        STAGES,
    )
    await connection.execute("VACUUM ANALYZE customers")
    await connection.execute("VACUUM ANALYZE customer_attributes")
    await connection.execute("VACUUM ANALYZE customer_relationships")
    yield database, connection
    await connection.close()
    await database.close()


class _Explained:
    """A connection that also explains the statement of the list, or another one by a part of it."""

    def __init__(self, connection, part: str = "ORDER BY") -> None:
        self._connection = connection
        self._part = part
        self.plan = ""

    async def execute(self, statement, values=None):
        if self._part in str(statement):
            explain = customer_list.text(f"EXPLAIN {statement}")
            rows = await self._connection.execute(explain, values)
            self.plan = "\n".join(row[0] for row in rows)
        return await self._connection.execute(statement, values)

    async def scalar(self, statement, values=None):
        return (await self.execute(statement, values)).scalar()

    def __getattr__(self, name):
        return getattr(self._connection, name)


async def _plan_of(database: Database, **filter_) -> str:
    async def unit(uow):
        connection = _Explained(uow._connection)
        await CustomerList(connection, 1).page(CustomerFilter(**filter_), NOW)
        return connection.plan

    return await database.run(1, unit)


def _sorted(plan: str) -> list[str]:
    """The steps of a plan that sort rows, instead of a merge of sorted ones."""
    return re.findall(r"-> +((?:Incremental )?Sort) ", plan)


KEYS = {
    "customer_id": 3_000,
    "name": "8",
    "last_appointment_at": NOW.isoformat(),
    "stage_entered_at": NOW.isoformat(),
}


@each_has_its_sql
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "other"])
@pytest.mark.parametrize("sort", SORTS)
async def test_every_order_reads_an_index_from_the_first_page_and_from_any_other(large, sort, is_first):
    name = sort.removeprefix("-")
    after = None if is_first else (KEYS.get(name, 50), 3_000)

    plan = await _plan_of(large[0], sort=sort, after=after)

    conditions = re.findall(rf"using {INDEXES[name]} .*\n\s+Index Cond: (.*)", plan)
    assert len(conditions) == (1 if name in ACROSS_STAGES else len(STAGES)), plan
    assert _sorted(plan) == [], plan
    assert "Seq Scan" not in plan, plan
    if not is_first:  # the page begins in the index, not after the rows before it
        assert all("ROW(" in each or "customer_id" in each for each in conditions), plan


@each_has_its_sql
@pytest.mark.parametrize("stages", [("vip",), ("prospect", "vip")], ids=["one", "several"])
@pytest.mark.parametrize("descending", [False, True], ids=["upwards", "downwards"])
@pytest.mark.parametrize("name", sorted(INDEXES.keys() - ACROSS_STAGES))
async def test_the_customers_of_stages_are_read_in_order_by_an_index(large, name, descending, stages):
    plan = await _plan_of(large[0], sort="-" * descending + name, stages=stages)

    assert plan.count(f"using {INDEXES[name]} ") == len(stages), plan
    assert _sorted(plan) == [], plan


ATTRIBUTE_INDEXES = {
    "plan:gold": "ix_attribute_texts",
    "visits>5990": "ix_attribute_numbers",
    "since>=2026-01-31": "ix_attribute_dates",
}


@each_has_its_sql
@pytest.mark.parametrize(("condition", "index"), ATTRIBUTE_INDEXES.items())
async def test_customers_with_an_attribute_are_found_by_an_index(large, condition, index):
    filter_ = parse_attribute_filter(condition, "")

    async def unit(uow):
        connection = _Explained(uow._connection, "array_agg(customer_id)")
        found = await attributes.find_attributed(connection, {"company_id": 1}, [filter_])
        return connection.plan, found

    plan, found = await large[0].run(1, unit)

    assert f"using {index} " in plan, plan
    [conditions] = re.findall(r"Index Cond: (.*)", plan)
    assert conditions.count(" AND ") == 2, plan  # the company, the name, and the value
    assert len(found) == 10
    page = await _plan_of(large[0], attributes=[filter_], sort="-risk_score")
    assert "Seq Scan" not in page, page
    assert await _listed(large[0], 1, attributes=[filter_]) == found


async def test_a_search_reads_its_index(large):
    plan = await _search_plan(large[1])

    assert "Bitmap Index Scan on ix_customer_search" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert await _listed(large[0], 1, q="4711@mail.example") == [4711]


async def _search_plan(connection: asyncpg.Connection) -> str:
    """The plan of the statement in the function that searches, in its role and with its settings."""
    row = await connection.fetchrow("SELECT prosrc, proconfig FROM pg_proc WHERE proname = 'find_customers'")
    [query] = re.findall(r"RETURN QUERY (.*?);", row["prosrc"], re.DOTALL)
    values = {
        "company": "1",
        "first_word": "'%4711%'",
        "second_word": "'%mail%'",
        "words": "'{}'",
        "most": "9",
    }
    for name, value in values.items():
        query = re.sub(rf"(?<![.\w]){name}\b", value, query)
    async with connection.transaction():
        for setting in row["proconfig"]:
            name, _, value = setting.partition("=")
            await connection.execute("SELECT set_config($1, $2, true)", name, value)
        await connection.execute("SET LOCAL ROLE journey_searcher")
        plan = await connection.fetch(f"EXPLAIN {query}")
    return "\n".join(each[0] for each in plan)


# ---- a search stays within the company


FOREIGN = 7_777_777


@pytest.fixture(scope="module")
async def foreign(large):
    """A customer of another company, in the same database."""
    database, connection = large
    await create_company(database, NewCompany("Another", "UTC", "EUR", id=2), author=Actor("tests"))
    await connection.execute(
        "INSERT INTO customers (company_id, customer_id, name) VALUES (2, $1, 'Zaphod Beeblebrox')", FOREIGN
    )
    await connection.execute(
        "INSERT INTO customer_relationships (company_id, customer_id, version, current_stage, stage_entered_at)"
        " VALUES (2, $1, 1, 'prospect', $2)",
        FOREIGN,
        NOW,
    )


async def _found(database: Database, company_id: int, q: str) -> list[list[int]]:
    """The customers that both functions find."""

    async def unit(uow):
        found = await search.read_search(uow._connection, q)
        by_name = await found.find_by_name(None, is_descending=False, limit=9)
        return [[*await found.find()], [*by_name]]

    return await database.run(company_id, unit)


async def test_a_search_finds_no_customer_of_another_company(large, foreign):
    for q in ("zaphod", "Beeblebrox", str(FOREIGN)):
        assert await _found(large[0], 1, q) == [[], []]
        assert await _listed(large[0], 1, q=q) == []
        assert await _found(large[0], 2, q) == [[FOREIGN], [FOREIGN]]
        assert await _listed(large[0], 2, q=q) == [FOREIGN]


# Last, as they change the database.


async def test_functions_that_search_all_companies_are_detected_and_the_list_still_shows_none(large, foreign):
    database, connection = large
    for name in ("find_customers", "find_customers_by_name"):
        [definition] = await connection.fetchrow(
            "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = $1", name
        )
        condition = "c.company_id = company"
        assert condition in definition
        await connection.execute(definition.replace(condition, "true"))

    assert await _found(database, 1, "zaphod") == [[FOREIGN], [FOREIGN]]
    assert await _listed(database, 1, q="zaphod") == []
    print("guard removed: detected")


@pytest.mark.parametrize("name", [name for name in INDEXES if name != "customer_id"])
async def test_without_its_index_an_order_is_sorted_and_the_missing_index_is_detected(large, name):
    database, connection = large
    await connection.execute(f"DROP INDEX {INDEXES[name]}")

    plan = await _plan_of(database, sort=name)

    assert _sorted(plan) != [], plan
    assert INDEXES[name] not in plan, plan
    print("guard removed: detected")


async def test_without_its_index_a_search_reads_the_table_and_the_missing_index_is_detected(large):
    await large[1].execute("DROP INDEX ix_customer_search")

    assert "ix_customer_search" not in await _search_plan(large[1])
    assert await _listed(large[0], 1, q="4711@mail.example") == [4711]
    print("guard removed: detected")
