"""Requests to the application without a socket, for the tests of serving."""

import asyncio
import json
from dataclasses import dataclass, field


@dataclass
class Answer:
    """A reply; `status` is None if none came."""

    status: int | None = None
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    def json(self):
        return json.loads(self.body)


async def ask(app, method, path, *chunks, headers=None, ends=True, leaves_after=None):
    """Sends one request.

    Args:
        app: ASGI application.
        method: str.
        path: str.
        *chunks: bytes, pieces of the body.
        headers: dict. Defaults to None.
        ends: bool, False for a client that stops in the middle of the body. Defaults to True.
        leaves_after: optional float, seconds after which the client hangs up. Defaults to None.

    Returns:
        The `Answer`.
    """
    answer, waiting = Answer(), [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if ends:
        waiting.append({"type": "http.request"})

    async def receive():
        if waiting:
            return waiting.pop(0)
        await asyncio.sleep(3600 if leaves_after is None else leaves_after)
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message["body"]

    fields = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": fields}
    await app({"query_string": b"", "root_path": "", "http_version": "1.1", **scope}, receive, send)
    return answer


def ask_now(app, *arguments, **settings):
    """`ask`, from code that is not asynchronous."""
    return asyncio.run(ask(app, *arguments, **settings))


def ask_all(app, requests):
    """Sends requests, tuples of the arguments of `ask`, all at once."""

    async def together():
        return await asyncio.gather(*(ask(app, *request) for request in requests))

    return asyncio.run(together())
