"""Stage maps: versions, drafts, linting, previews, back-tests."""
