"""A multi-tenant customer journey service for appointment businesses."""

import zoneinfo

# Time zone rules come from the locked package, not from the machine: all processes that write to one database
# must agree on what a local day is.
zoneinfo.reset_tzpath(())
