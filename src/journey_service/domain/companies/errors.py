"""Errors of companies and their settings."""

from journey_service.domain.errors import ConflictError, JourneyServiceError, NotFoundError


class CompanyNotFoundError(NotFoundError):
    """There is no company with this id."""

    code = "company-not-found"
    title = "Company not found"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"There is no company {company_id}.")


class NoTestClockError(ConflictError):
    """The company runs in real time; only a test clock can be advanced."""

    code = "no-test-clock"
    title = "The company has no test clock"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"Company {company_id} runs in real time; only a test clock can be advanced.")


class CompanyExistsError(ConflictError):
    """A company with this id already exists."""

    code = "company-exists"
    title = "The company already exists"

    def __init__(self, company_id: int) -> None:
        super().__init__(f"Company {company_id} already exists.")


class CurrencyInUseError(ConflictError):
    """The company has amounts in its currency, or an import that may contain some."""

    code = "currency-in-use"
    title = "The currency is in use"

    def __init__(self, currency: str) -> None:
        super().__init__(
            f"The company has amounts in {currency}, or an unfinished import; its currency stays."
        )


class StaleSettingsError(JourneyServiceError):
    """The settings were changed after the caller read them."""

    code = "stale-settings"
    title = "The settings have changed"

    def __init__(self) -> None:
        super().__init__("The settings have changed since you read them; read them again.")
