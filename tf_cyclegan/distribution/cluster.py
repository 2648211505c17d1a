"""Which process of several this is, from TF_CONFIG. Imports no TensorFlow."""

import dataclasses
import json
import os

_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
_ROLES = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train together.

    Args:
        workers: int, how many.
        index: int, which of them this is; 0 is the chief, which writes.
    """

    workers: int
    index: int


def read_cluster(text=None):
    """What TF_CONFIG says.

    Args:
        text: optional str. Defaults to the environment variable.

    Returns:
        `Cluster`.

    Raises:
        ValueError: if there is none, or it is none.
    """
    text = os.environ.get("TF_CONFIG") if text is None else text
    if not text:
        raise _wrong("is not set")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(f"is no JSON: {error}") from error
    try:
        addresses = {role: list(found["cluster"].get(role, ())) for role in _ROLES}
        role, index = found["task"]["type"], int(found["task"]["index"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _wrong("has no `cluster` or no `task`") from error
    if role not in _ROLES:
        raise _wrong(f"gives this process the role {role!r}, not one of {', '.join(_ROLES)}")
    if not 0 <= index < len(addresses[role]):
        raise _wrong(f"says this is {role} {index}, of which there are {len(addresses[role])}")
    before = len(addresses["chief"]) if role == "worker" else 0
    return Cluster(sum(map(len, addresses.values())), before + index)


def _wrong(what):
    return ValueError(
        f"`strategy` multi_worker needs the environment variable TF_CONFIG in every process, as {_EXAMPLE}. "
        f"Received: TF_CONFIG {what}"
    )
