"""Linter of stage maps: a search over event histories, and checks of the rules alone."""

from journey_service.domain.simulation.linter.report import FindingSeverity, LinterFinding, LinterReport, lint

__all__ = ["FindingSeverity", "LinterFinding", "LinterReport", "lint"]
