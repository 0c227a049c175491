"""Checks of the packages that the service is delivered with: licences, bills of materials, vulnerabilities, age."""
