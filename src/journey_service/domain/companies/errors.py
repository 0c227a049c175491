"""Expected failures of companies and their settings."""

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError


class CompanyNotFoundError(NotFoundError):
    """No company has this id."""

    code = "company-not-found"
    title = "Company not found"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"No company {company_id}.")


class NoTestClockError(ConflictError):
    """The company lives in real time; its clock is nobody's to move."""

    code = "no-test-clock"
    title = "The company has no test clock"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"Company {company_id} lives in real time: only a test clock can be moved.")


class CompanyExistsError(ConflictError):
    """A company with this id exists already."""

    code = "company-exists"
    title = "The company exists already"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"Company {company_id} exists already.")


class StalePolicyError(JourneyServiceError):
    """Somebody changed the company's policy since it was seen."""

    code = "stale-settings"
    title = "The settings have changed"

    def __init__(self) -> None:
        super().__init__("The settings are others than those that were seen; read them again.")
