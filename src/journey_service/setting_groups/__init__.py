"""Groups of settings, each with its checks; `Settings` is composed of them. Checks have different names."""
