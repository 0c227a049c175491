"""Settings of rate limits."""

from pydantic import Field
from pydantic_settings import BaseSettings

from journey_service.services.access.limit_policy import LimitPolicy


class RateLimitSettings(BaseSettings):
    """Rate limits of callers, and the number of processes that share them."""

    api_processes: int = Field(default=1, ge=1, le=1_000, validation_alias="JOURNEY_API_PROCESSES")
    """Number of API processes of all machines, 1 to 1,000. Default: 1, or the value of `--workers`.

    While Redis does not respond, each process allows its part of every rate limit.
    """

    key_request_limit: int = Field(
        default=50, ge=1, le=1_000_000, validation_alias="JOURNEY_KEY_REQUEST_LIMIT"
    )
    """Requests per second of one credential, 1 to 1,000,000; four times as many at once. Default: 50."""

    key_event_limit: int = Field(
        default=20_000, ge=1, le=1_000_000, validation_alias="JOURNEY_KEY_EVENT_LIMIT"
    )
    """Events per second of one credential, 1 to 1,000,000; twice as many at once. Default: 20,000."""

    company_request_limit: int = Field(
        default=200, ge=1, le=1_000_000, validation_alias="JOURNEY_COMPANY_REQUEST_LIMIT"
    )
    """Requests per second of all credentials of a company, 1 to 1,000,000; four times as many at once. Default: 200."""

    company_event_limit: int = Field(
        default=40_000, ge=1, le=1_000_000, validation_alias="JOURNEY_COMPANY_EVENT_LIMIT"
    )
    """Events per second of all credentials of a company, 1 to 1,000,000; twice as many at once. Default: 40,000."""

    failure_limit: int = Field(default=60, ge=1, le=1_000_000, validation_alias="JOURNEY_FAILURE_LIMIT")
    """Different invalid credentials per minute from one client address, 1 to 1,000,000. Default: 60."""

    sign_in_failure_limit: int = Field(
        default=10, ge=1, le=1_000_000, validation_alias="JOURNEY_SIGN_IN_FAILURE_LIMIT"
    )
    """Failed sign-ins, and invalid unsubscribe links, per minute from one client address, 1 to 1,000,000.

    Default: 10.
    """

    @property
    def limit_policy(self) -> LimitPolicy:
        """The rate limits of callers."""
        return LimitPolicy(
            requests=self.key_request_limit,
            events=self.key_event_limit,
            company_requests=self.company_request_limit,
            company_events=self.company_event_limit,
            failures=self.failure_limit,
            sign_in_failures=self.sign_in_failure_limit,
        )
