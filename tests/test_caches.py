"""What a process remembers beyond a request: every such place is named here, with why no company sees another's."""

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
from journey_service.domain.stages.stage_map import parse_stage_map
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.stages.stage_maps import get_map

SOURCE = Path(journey_service.__file__).parent
KNOWN = {
    "domain/calendar.py:_changes": "By year and zone: the same clocks for everybody.",
    "domain/simulation/linter/value_ranges.py:rates": "Takes nothing: the same rates for everybody.",
    "domain/simulation/linter/value_ranges.py:_sizes": "Takes nothing: the same sizes for everybody.",
    "domain/simulation/linter/value_ranges.py:_risks": "By the whole policy: the result depends on nothing else.",
    "domain/stages/rules.py:with_number": "By condition and number: the result depends on nothing else.",
    "repositories/companies/companies.py:_policy": "By the policy's whole text: the result depends on nothing else.",
    "repositories/companies/companies.py:_stage_actions": "By the whole text: the result depends on nothing else.",
    "services/actions/template_rendering.py:_parsed": "By the template's whole text: the result depends on nothing else.",
    "repositories/stages/stage_maps.py:_CACHED_STAGE_MAPS": "By company and version; a version never changes.",
    "services/companies/provisioning.py:_zones": "Takes nothing: the time zones of the locked package.",
    "services/stages/linting.py:_lint_cached": "By the whole map and policy: the result depends on nothing else.",
}
"""Where a module remembers something, and why it is safe: it is kept by company, or by content alone."""
HOUSE = {
    "settings": "Read once, the same for everybody.",
    "database": "Connections, each bound to a company by the transaction: see test_row_security.",
    "ingest_batcher": "Events that wait, in a queue of each company.",
    "worker_wakeup": "Rings by the kind of work, and says no more.",
    "messenger": "Sends what it is handed, and keeps nothing of it.",
    "event_stream": "Who watches what, by company; news are read anew for each of them.",
    "company_metrics": "Figures by company, for whoever watches over all of them with the operator's token.",
    "outgoing_for_webhooks": "The origins that the service's operator named; no connection outlives its call.",
    "identity": "The keys of the identity provider, the same for everybody.",
    "credential_cache": "By a digest of the whole credential, which is one company's.",
}
"""What a process keeps for as long as it runs, and why it is safe across companies."""

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


def credential_cache(tree: ast.Module) -> Iterator[str]:
    """The names under which a module remembers something: cached functions, and containers that functions write to."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        if any(_name(decorator) in CACHES for decorator in function.decorator_list):
            yield function.name
    # Also `read = cache(parse)`, wherever it stands.
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
    """What a module and its classes hold, by name."""
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
    """The names of what a function changes in place, its own variables apart."""
    own = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    for node in ast.walk(function):
        found = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            found = node.value
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES
        ):
            found = node.func.value
        elif isinstance(node, ast.AugAssign):
            found = node.target
        if isinstance(found, ast.Name) and (found.id not in own or isinstance(node, ast.AugAssign)):
            yield found.id
        elif isinstance(found, ast.Attribute):
            yield found.attr  # of a class, or of another module


def _name(node: ast.expr) -> str:
    """`cache` of `cache`, `functools.cache`, `lru_cache(maxsize=1)`."""
    if isinstance(node, ast.Call):
        return _name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_whatever_a_module_remembers_is_known_to_be_safe_across_companies():
    found = {
        f"{path.relative_to(SOURCE)}:{name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for name in credential_cache(ast.parse(path.read_text()))
    }

    assert found == KNOWN.keys()


def test_whatever_a_process_keeps_is_known_to_be_safe_across_companies():
    assert {field.name for field in fields(AppState)} == HOUSE.keys()


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
def test_a_place_that_remembers_is_noticed(source):
    assert list(credential_cache(ast.parse(source))) == ["kept"]
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
def test_a_place_that_only_tells_is_none(source):
    assert list(credential_cache(ast.parse(source))) == []


async def test_a_company_does_not_decide_by_the_map_of_one_whose_founding_failed(database):
    """What a transaction has read of itself is not kept when the transaction was not: another may get its id."""
    id_ = 2_500_000_000_001
    stages = [{**stage, "name": f"Not theirs: {stage['name']}"} for stage in DEFAULT_STAGES]

    async def unit(uow):
        await uow.companies.insert(
            CompanyRecord("Never founded", "UTC", "EUR"),
            Rulebook(parse_stage_map(stages, version=1), DEFAULT_POLICY),
            findings=[],
            author="tests",
        )
        await uow.companies.get_context()  # as founding does before it ends
        await uow._connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(Exception, match="the database refused a statement"):
        await database.run(id_, unit)
    await create_company(database, NewCompany("Founded", "UTC", "EUR", id=id_), author=Actor("tests"))

    view = await get_map(database, id_)

    assert [stage.name for stage in view.stage_map.stages] == [stage["name"] for stage in DEFAULT_STAGES]
