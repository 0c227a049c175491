"""A multi-tenant customer journey service for appointment businesses."""

import zoneinfo

# The rules of time zones are those of the locked package, and not of whatever machine a process happens to run on:
# all processes that write to one database have to agree on what a local day is.
zoneinfo.reset_tzpath(())
