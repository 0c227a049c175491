"""Slots of expensive requests: held from the authorization of a request to the end of its response."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from journey_service.domain.operations.work import WorkKind

_STACK: Final = "request_slots"
_SIMULATIONS: Final = frozenset(("preview_stage_map", "start_backtest"))
_REPORTS: Final = frozenset(
    (
        *("list_customers_csv", "list_duplicate_customers", "export_customer", "lint_stage_map"),
        *("get_data_quality", "start_data_inspection", "start_reconciliation"),
    )
)
_REPORT_TAGS: Final = frozenset(("analytics", "portal"))


class RequestSlots:
    """Middleware that releases the slots of a request when its response has ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles the request; `hold_slot` adds to what is released at its end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            stack: AsyncExitStack | None = scope.get(_STACK)  # most requests hold no slot
            if stack is not None:
                await stack.aclose()


async def hold_slot(scope: Scope, slot: AbstractAsyncContextManager[None]) -> None:
    """Takes a slot that is held until the response of the request has ended. Raises what taking it raises."""
    stack: AsyncExitStack = scope.setdefault(_STACK, AsyncExitStack())
    await stack.enter_async_context(slot)


def kind_of(route: Any) -> WorkKind:  # noqa: ANN401  # routes of several kinds
    """Returns the kind of work of a route. Batches take their slot later: when their body has arrived."""
    if route.name in _SIMULATIONS:
        return WorkKind.SIMULATION
    if route.name in _REPORTS or not _REPORT_TAGS.isdisjoint(route.tags):
        return WorkKind.ANALYTICS
    return WorkKind.SINGLE
