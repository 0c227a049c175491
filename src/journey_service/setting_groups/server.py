"""Settings of the HTTP server: deadlines and limits of connections."""

from pydantic import Field
from pydantic_settings import BaseSettings


class ServerSettings(BaseSettings):
    """Deadlines and limits of connections. Limits are those of one process."""

    header_timeout: float = Field(default=10.0, gt=0, le=300, validation_alias="JOURNEY_HEADER_TIMEOUT")
    """Seconds within which a client must send the header of a request, above 0 and at most 300. Default: 10."""

    body_timeout: float = Field(default=10.0, gt=0, le=300, validation_alias="JOURNEY_BODY_TIMEOUT")
    """Seconds without a byte of a body after which its connection is closed, above 0 and at most 300. Default: 10."""

    write_timeout: float = Field(default=10.0, gt=0, le=300, validation_alias="JOURNEY_WRITE_TIMEOUT")
    """Seconds for which a client may leave a response unread, above 0 and at most 300. Default: 10."""

    min_transfer_rate: int = Field(
        default=1024, ge=1, le=1024**2, validation_alias="JOURNEY_MIN_TRANSFER_RATE"
    )
    """Bytes per second at which bodies must arrive and responses be read, 1 to 1,048,576. Default: 1024."""

    idle_timeout: int = Field(default=75, ge=1, le=3600, validation_alias="JOURNEY_IDLE_TIMEOUT")
    """Seconds after which a connection without a request is closed, 1 to 3600. Default: 75.

    A proxy must close its idle connections earlier, so that it does not send a request into a closed one.
    """

    max_connections: int = Field(default=2_000, ge=1, le=100_000, validation_alias="JOURNEY_MAX_CONNECTIONS")
    """Maximum number of open connections, 1 to 100,000. Default: 2000.

    The limit of open files may allow fewer: files for the database and for logs are reserved.
    """

    connections_per_address: int = Field(
        default=100, ge=0, le=100_000, validation_alias="JOURNEY_CONNECTIONS_PER_ADDRESS"
    )
    """Maximum number of open connections of one address, up to 100,000; 0 for no limit. Default: 100.

    Does not apply to trusted proxies.
    """
