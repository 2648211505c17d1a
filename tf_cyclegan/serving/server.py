"""The server behind `tf-cyclegan serve`: from its settings to a clean end."""

import contextlib
import dataclasses
import socket
import sys

from tf_cyclegan.serving.limits import Limits
from tf_cyclegan.serving.models_folder import where_models_are
from tf_cyclegan.serving.repository import Repository
from tf_cyclegan.serving.rest.app import create_app
from tf_cyclegan.serving.rest.hosts import allowed_hosts
from tf_cyclegan.serving.rest.http_server import run_app
from tf_cyclegan.settings.checks import check_positive


def run_serve(config, report):
    """Serves until SIGTERM or Ctrl-C, then finishes the requests it has accepted.

    Args:
        config: `ServeSettings`.
        report: callable, takes lines of text; one of them has the address with the real port.

    Returns:
        0.

    Raises:
        ValueError: for settings that make no server.
        OSError: if the server cannot listen on the address.
    """

    def tell(line):
        with contextlib.suppress(OSError):  # the reader of the output is gone
            report(line)
            if sys.stdout:
                sys.stdout.flush()  # a program that waits for the address may read from a pipe

    limits = Limits(**dataclasses.asdict(config.limits))
    check_positive("keep_alive_seconds", config.keep_alive_seconds)
    grpc = None if config.grpc_port is None else _grpc_server()
    repository = Repository(config.directory, _labels(config.labels), config.poll_seconds, tell)
    listener = _listen(config.host, config.port)
    try:
        hosts = allowed_hosts(config.allowed_hosts, listener.getsockname()[0])
        address = _free_address(config.host, config.grpc_port) if grpc else None
        repository.scan()
        repository.start()
        if not repository.newest():
            tell(where_models_are(config.directory))
        tell(_greeting(repository, listener, address))
        app = create_app(repository, limits, config.cors, hosts)
        service = app.state.service
        tell(_memory_line(repository, service.budget))
        run_app(app, listener, config.keep_alive_seconds, grpc(service, address) if grpc else None)
        service.close()
    finally:
        listener.close()
        repository.close()
    return 0


def _grpc_server():
    """The class, if the packages of the extra are there."""
    try:
        from tf_cyclegan.serving.grpc.grpc_server import GrpcServer
    except ImportError as error:
        missing = f"Missing or broken: {error.name}"
        raise ValueError(f'`grpc_port` needs pip install "tf_cyclegan[serve]". {missing}') from error
    return GrpcServer


def _labels(settings):
    """`NAME:LABEL=VERSION` as a dict of dicts."""
    labels = {}
    for setting in settings:
        place, _, version = setting.rpartition("=")
        name, _, label = place.partition(":")
        if not (name and label and version.isascii() and version.isdecimal()):
            raise ValueError(f"`labels` must be NAME:LABEL=VERSION, as emoji_ab:stable=1. Received: {setting}")
        labels.setdefault(name, {})[label] = int(version)
    return labels


def _listen(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"Cannot listen on {host}:{port}: {reason}") from error
    # Connections inherit this option; asyncio sets it only on sockets that name their protocol. Without it the body of
    # a reply waits 40 ms until the client has acknowledged the head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _free_address(host, port):
    """The address where gRPC will listen. gRPC tells no reason when it cannot listen, so it is tried here."""
    with _listen(host, port) as listener:
        return _address(listener)


def _greeting(repository, listener, grpc_address):
    models = ", ".join(f"{version.name} (version {version.number})" for version in repository.newest())
    grpc = f", gRPC at {grpc_address}" if grpc_address else ""
    return f"Serving {models or 'no models yet'} at http://{_address(listener)}{grpc}"


def _address(listener):
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _memory_line(repository, budget):
    taken = {version.name: max(version.bytes_a_pixel.values(), default=0) for version in repository.newest()}
    models = "".join(f"; a megapixel takes {size / 1e3:.2f} GB in {name}" for name, size in taken.items() if size)
    return f"Images of running requests may take {budget.total / 1e9:.1f} GB{models}"
