"""Every cache of a process is listed here, with the reason why it does not leak data between companies."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import text

import journey_service
from journey_service.api.dependencies import AppState
from journey_service.domain.access.actors import Actor
from journey_service.domain.companies.policy import DEFAULT_POLICY
from journey_service.domain.companies.records import CompanyRecord
from journey_service.domain.journeys.relationship import Rulebook
from journey_service.domain.stages.default_stages import DEFAULT_STAGES
from journey_service.domain.stages.parsing import parse_stage_map
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.stages.stage_maps import get_map

SOURCE = Path(journey_service.__file__).parent
KNOWN = {
    "api/authentication.py:_address_of": "Key: the address of a client; the result depends on nothing else.",
    "api/portal/dashboard.py:load_dashboard": "No parameters; the files of the package, the same for all companies.",
    "domain/calendar.py:_changes": "Key: year and zone; the same for all companies.",
    "domain/calendar.py:zone_of": "Key: the names and ends of the zones; the result depends on nothing else.",
    "domain/companies/currencies.py:_currencies": "No parameters; the same currencies for all companies.",
    "services/customers/phones.py:_regions": "No parameters; the time zones of the locked package.",
    "domain/simulation/linter/value_ranges.py:rates": "No parameters; the same rates for all companies.",
    "domain/simulation/linter/value_ranges.py:_sizes": "No parameters; the same sizes for all companies.",
    "domain/simulation/linter/value_ranges.py:_risks": "Key: the full policy; the result depends on nothing else.",
    "domain/stages/rules.py:with_number": "Key: condition and number; the result depends on nothing else.",
    "repositories/companies/companies.py:_policy": "Key: the full text and the currency; nothing else matters.",
    "repositories/companies/companies.py:_stage_actions": "Key: the full text; the result depends on nothing else.",
    "services/actions/template_language.py:parse_source": "Key: the template's full text; nothing else matters.",
    "repositories/journeys/churn_models.py:_CACHED_PARAMETERS": "Key: company and model, which never changes.",
    "repositories/stages/stage_maps.py:_CACHED_STAGE_MAPS": "Key: company, version, currency; they never change.",
    "services/access/limit_policy.py:_event_limit": "Key: name and number; the result depends on nothing else.",
    "services/access/limit_policy.py:_request_limit": "Key: name and number; the result depends on nothing else.",
    "services/companies/provisioning.py:_zones": "No parameters; the time zones of the locked package.",
    "services/stages/linting.py:_lint_cached": "Key: the full stage map and policy; nothing else matters.",
}
"""Caches of modules, with the reason why each is safe: its key is the company or the full content."""
APP_STATE = {
    "settings": "Read once; the same for all companies.",
    "database": "Connections, each bound to a company by its transaction: see test_row_security.",
    "database_probe": "One connection; reads the condition of the server and the revision of the schema.",
    "ingest_batcher": "Waiting events, in one queue per company.",
    "worker_wakeup": "Sends names of polling tasks only.",
    "messenger": "Sends messages and keeps none.",
    "event_stream": "Subscribers by company; outbound events are read again for each company.",
    "company_metrics": "Metrics by company, readable with the operator's token only.",
    "outgoing_for_webhooks": "Origins trusted by the operator; no connection outlives its call.",
    "identity": "Public keys of the identity provider; the same for all companies.",
    "credential_cache": "Key: a digest of the full credential, which belongs to one company.",
    "rate_limiter": "Tokens by credential, company or address; no data.",
    "limit_policy": "From the settings; the same for all companies.",
    "proxies": "From the settings; the same for all companies.",
}
"""Fields of the application state, with the reason why each is safe across companies."""

CACHES = {"cache", "lru_cache", "alru_cache", "cached", "ttl_cache"}
CONTAINERS = {
    *("dict", "list", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "ChainMap"),
    *("WeakKeyDictionary", "WeakValueDictionary", "WeakSet", "LRUCache", "TTLCache"),
}
CHANGES = {
    *("append", "add", "update", "setdefault", "pop", "popitem", "clear", "extend", "insert", "remove"),
    *("discard", "appendleft", "popleft", "extendleft", "move_to_end", "subtract", "__setitem__"),
    *("difference_update", "intersection_update", "symmetric_difference_update"),
}


def caches_of(tree: ast.Module) -> Iterator[str]:
    """Yields the names of a module's caches: cached functions, and containers that functions write to."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        if any(_name(decorator) in CACHES for decorator in function.decorator_list):
            yield function.name
    # Also `read = cache(parse)`, at any level.
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            called = node.value.func
            if _name(called) in CACHES or (isinstance(called, ast.Call) and _name(called) in CACHES):
                yield from _targets(node)
    containers = {name for name, value in _variables(tree) if _is_container(value)}
    declared = {
        name
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Global)
        for name in node.names
    }
    written = {name for function in functions for name in _written(function)}
    yield from sorted(containers & written | declared)


def _variables(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yields the variables of a module and of its classes."""
    bodies = [tree.body, *(node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
    for body in bodies:
        for node in body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for name in _targets(node):
                    yield name, node.value


def _targets(node: ast.Assign | ast.AnnAssign) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return (target.id for target in targets if isinstance(target, ast.Name))


def _is_container(value: ast.expr) -> bool:
    is_literal = isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)
    return is_literal or (isinstance(value, ast.Call) and _name(value) in CONTAINERS)


def _written(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yields the names that a function changes in place, except its local variables."""
    own = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(function):
        target = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            target = node.value
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES
        ):
            target = node.func.value
        elif isinstance(node, ast.AugAssign):
            target = node.target
        if isinstance(target, ast.Name) and (target.id not in own or isinstance(node, ast.AugAssign)):
            yield target.id
        elif isinstance(target, ast.Attribute):
            yield target.attr  # of a class, or of another module


def _name(node: ast.expr) -> str:
    """Returns the name of a decorator or call: `cache` for `cache`, `functools.cache` and `cache(maxsize=1)`."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_every_cache_of_a_module_is_listed():
    found = {
        f"{path.relative_to(SOURCE)}:{name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for name in caches_of(ast.parse(path.read_text()))
    }

    assert found == KNOWN.keys()


def test_every_field_of_the_application_state_is_listed():
    assert {field.name for field in fields(AppState)} == APP_STATE.keys()


@pytest.mark.parametrize(
    "source",
    [
        "@cache\ndef kept(): ...",
        "@functools.lru_cache(maxsize=8)\ndef kept(): ...",
        "class Reader:\n    @lru_cache\n    def kept(self): ...",
        "kept = cache(len)",
        "kept = lru_cache(maxsize=8)(len)",
        "kept = {}\ndef read(key):\n    kept[key] = 1",
        "kept: Final[dict[int, str]] = {}\nasync def read(key):\n    kept[key] = 1",
        "kept = dict()\ndef read(key):\n    return kept.setdefault(key, 1)",
        "kept = defaultdict(list)\ndef read(key):\n    kept.update(key)",
        "kept = []\nclass Reader:\n    def read(self):\n        kept.append(self)",
        "kept = set()\ndef read(key):\n    del kept[key]",
        "kept = []\ndef read(key):\n    global kept\n    kept = [key]",
        "kept = None\ndef read(key):\n    global kept\n    kept = key",
        "kept = Counter()\ndef read(key):\n    kept[key] += 1",
        "class Reader:\n    kept = {}\n    def read(self, key):\n        self.kept[key] = 1",
    ],
)
def test_a_cache_is_detected(source):
    assert list(caches_of(ast.parse(source))) == ["kept"]
    print("guard removed: detected")


@pytest.mark.parametrize(
    "source",
    [
        "KNOWN = {'a': 1}\ndef read(key):\n    return KNOWN[key]",
        "KNOWN = []\nKNOWN.append(1)",
        "def read(key):\n    found = {}\n    found[key] = 1\n    return found",
        "found = {}\ndef read(key):\n    found = {}\n    found[key] = 1\n    return found",
        "class Reader:\n    @cached_property\n    def read(self): ...",
    ],
)
def test_other_code_is_not_a_cache(source):
    assert list(caches_of(ast.parse(source))) == []


async def test_a_rolled_back_stage_map_is_not_cached(database):
    """A failed creation of a company leaves nothing in the cache: another company may get its id."""
    id_ = 2_500_000_000_001
    stages = [{**stage, "name": f"Rolled back: {stage['name']}"} for stage in DEFAULT_STAGES]

    async def unit(uow):
        await uow.companies.insert(
            CompanyRecord("Rolled back", "UTC", "EUR"),
            Rulebook(parse_stage_map(stages, version=1), DEFAULT_POLICY),
            findings=[],
            author="tests",
        )
        await uow.companies.get_context()  # as creation does before it commits
        await uow._connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(Exception, match="the database refused a statement"):
        await database.run(id_, unit)
    await create_company(database, NewCompany("Created", "UTC", "EUR", id=id_), author=Actor("tests"))

    view = await get_map(database, id_)

    assert [stage.name for stage in view.stage_map.stages] == [stage["name"] for stage in DEFAULT_STAGES]
