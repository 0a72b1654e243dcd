"""Being told of changes instead of asking again and again, and waiting for runs with it.

::

    Session          one connection that listens: LISTEN, registration, self-test
    Listener         keeps a session while somebody subscribes; reconnects; tells subscribers when to look themselves
    AsyncRunWatcher  waits for any number of runs, with one statement for all of them
    RunWatcher       the same for threads
"""

from pgflow.listening.listener import Listener, Subscription
from pgflow.listening.threaded import RunWatcher
from pgflow.listening.watcher import PATIENCE_SECONDS, AsyncRunWatcher

__all__ = ["PATIENCE_SECONDS", "AsyncRunWatcher", "Listener", "RunWatcher", "Subscription"]
