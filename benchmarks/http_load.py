"""Load on an HTTP server: as fast as a few clients can, or at a rate that does not wait for replies."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Sample:
    """One request: seconds since the load began, seconds until its reply, its status (0: no reply) and reply."""

    start: float
    seconds: float
    status: int
    body: bytes = b""


class Connections:
    """Posts to one path over connections that are kept, as many as are needed at a time.

    None is used again that was idle for long: the server may be about to close it, which would count as a failure.
    """

    _IDLE_SECONDS = 3

    def __init__(self, url, path):
        address = urlsplit(url)
        self._host, self._port, self._path = address.hostname, address.port, path
        self._free = []

    async def post(self, body, timeout=120):
        """Status and body of the reply; status 0 if there was none."""
        try:
            return await asyncio.wait_for(self._post(body), timeout)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return 0, b""

    async def _post(self, body):
        reader, writer = self._take() or await asyncio.open_connection(self._host, self._port)
        try:
            head = f"POST {self._path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            fields = dict(line.split(b": ", 1) for line in lines[1:] if line)
            reply = await reader.readexactly(int(fields[b"content-length"]))
        except BaseException:
            writer.close()
            raise
        if fields.get(b"connection") == b"close":
            writer.close()
        else:
            self._free.append((time.perf_counter(), reader, writer))
        return int(lines[0].split()[1]), reply

    def _take(self):
        """The connection that was used last, or None."""
        if self._free and time.perf_counter() - self._free[-1][0] > self._IDLE_SECONDS:
            self.close()
        return self._free.pop()[1:] if self._free else None

    def close(self):
        while self._free:
            self._free.pop()[2].close()


async def _sample(connections, body, begin):
    start = time.perf_counter()
    status, reply = await connections.post(body)
    return Sample(start - begin, time.perf_counter() - start, status, reply)


async def _closed(url, path, body, clients, keep_going):
    connections, begin, samples = Connections(url, path), time.perf_counter(), []

    async def client():
        while keep_going(time.perf_counter() - begin, len(samples)):
            samples.append(await _sample(connections, body, begin))

    await asyncio.gather(*(client() for _ in range(clients)))
    connections.close()
    return samples


async def _open(url, path, body, rate, seconds):
    connections, begin, tasks = Connections(url, path), time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(_sample(connections, body, begin)))
    samples = await asyncio.gather(*tasks)
    connections.close()
    return samples


def closed_loop(url, path, body, clients, seconds=None, while_true=None):
    """Clients that each send the next request when they have the reply to the last.

    Args:
        url: str, `http://HOST:PORT`.
        path: str.
        body: bytes.
        clients: int.
        seconds: optional float, how long.
        while_true: optional callable that says, instead, whether to go on.

    Returns:
        List of `Sample`.
    """
    keep_going = (lambda now, count: while_true()) if while_true else (lambda now, count: now < seconds)
    return asyncio.run(_closed(url, path, body, clients, keep_going))


def open_loop(url, path, body, rate, seconds):
    """Requests at a fixed rate, whether or not the earlier ones have been answered: list of `Sample`."""
    return asyncio.run(_open(url, path, body, rate, seconds))


def rate_of(samples):
    """Right replies a second, from the first request to the last reply."""
    good = [sample for sample in samples if sample.status == 200]
    return len(good) / max(sample.start + sample.seconds for sample in samples)


def milliseconds(samples, share):
    """The latency that this share of the samples does not exceed; NaN without samples."""
    times = sorted(sample.seconds for sample in samples)
    return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")


def median_ms(seconds):
    return 1000 * statistics.median(seconds)
