"""The register of personal data, consent changes and the filter of the customer list."""
