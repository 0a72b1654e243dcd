"""The blocking client, generated from `pgflow._async` by tools/unasync.py: change it there."""
