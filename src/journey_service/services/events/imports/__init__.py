"""Imports of files: reading, checking, staging and replaying their lines."""
