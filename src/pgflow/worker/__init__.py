"""The worker: fetches tasks, runs handlers, reports back. Start reading at :mod:`pgflow.worker.worker`."""
