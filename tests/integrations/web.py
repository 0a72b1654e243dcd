"""A web application with a worker inside: `python web.py URL`; prints the port it listens on."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pgflow import Flow, PgFlow
from pgflow.integrations.asgi import lifespan

flow = Flow("web")


@flow.step
async def greet(name: str) -> str:
    """Take a moment, so that a signal finds it running."""
    await asyncio.sleep(0.2)
    return f"hello {name}"


async def start(request: Request) -> JSONResponse:
    """Start a run."""
    run = await request.state.pgflow.start_flow(flow, request.path_params["name"])
    return JSONResponse({"run_id": str(run.run_id)})


async def result(request: Request) -> JSONResponse:
    """Wait for a run."""
    run = await request.state.pgflow.get_run(request.path_params["run_id"])
    return JSONResponse(await run.result(20))


async def health(request: Request) -> JSONResponse:
    """Say how the application is."""
    found = await request.state.pgflow.health_check()
    return JSONResponse({"status": found.status, "problems": found.problems})


def main(url: str) -> None:
    """Serve until a signal comes."""
    app = PgFlow(url, flows=[flow])
    routes = [
        Route("/start/{name}", start, methods=["POST"]),
        Route("/result/{run_id}", result),
        Route("/health", health),
    ]
    web = Starlette(routes=routes, lifespan=lifespan(app))
    with socket.create_server(("127.0.0.1", 0)) as listening:  # so that nobody is refused while it starts
        print("port", listening.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(web, lifespan="on")).run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
