"""The linter of stage maps: a search over histories of events, and what can be said without one."""

from journey_service.domain.simulation.linter.report import FindingSeverity, LinterFinding, LinterReport, lint

__all__ = ["FindingSeverity", "LinterFinding", "LinterReport", "lint"]
