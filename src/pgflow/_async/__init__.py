"""The client. Its blocking twin in `pgflow._sync` is generated from this package by tools/unasync.py."""
