"""Storage of profiles, consents, the customer list, and erasure tombstones."""
