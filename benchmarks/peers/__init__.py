"""One program per peer, each run in an environment of its own: `python -m peers.NAME COMMAND OPTIONS_AS_JSON`."""
