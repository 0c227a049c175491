"""Storage of profiles, consents, the customer list, personal data, and erasure tombstones."""
