"""The workers of a run: training on several devices and several machines through `tf.distribute`."""

import contextlib
import dataclasses
import functools
import json
import os

import tensorflow as tf

from tf_cyclegan.models.replicas import all_values
from tf_cyclegan.settings.checks import check_choice, one_line

_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
_ROLES = ("chief", "worker")
STRATEGIES = ("none", "mirrored", "multi_worker", "tpu")
# The errors that TensorFlow raises when another worker is gone.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class WorkerLost(RuntimeError):
    """Another worker is gone: the run goes on from its last checkpoint when all workers start again."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train together.

    Args:
        workers: int, number of processes.
        index: int, number of this process; 0 is the chief, which writes.
    """

    workers: int
    index: int


class Workers:
    """The devices and processes that compute a run. Without arguments: one device of this process.

    Args:
        name: one of `STRATEGIES`. Defaults to `"none"`.
        strategy: optional `tf.distribute.Strategy`. Defaults to None.
        replicas: int, devices that train together; None where their number is unknown. Defaults to 1.
        cluster: `Cluster` of the processes. Defaults to this process alone.
    """

    def __init__(self, name="none", strategy=None, replicas=1, cluster=None):
        self.name = name
        self.strategy = strategy
        self.replicas = replicas
        self.cluster = cluster or Cluster(workers=1, index=0)

    @property
    def is_chief(self):
        """Whether this process writes the run folder and reports."""
        return self.cluster.index == 0

    @property
    def are_many(self):
        """Whether the run has several processes."""
        return self.cluster.workers > 1

    def check(self, batch_size, devices, policy):
        """Raises `ValueError` unless these workers can compute a run of these settings.

        Args:
            batch_size: int.
            devices: `DeviceSettings`.
            policy: str, the dtype policy.
        """
        if self.name == "none":
            return
        if self.replicas and batch_size % self.replicas:
            raise ValueError(
                f"`batch_size` must be a multiple of the {self.replicas} replicas of `strategy` {self.name}, which "
                f"share each batch. Received: batch_size={batch_size}"
            )
        if devices.jit_compile and self.name != "tpu":
            raise ValueError(f"`jit_compile` must be left out with `strategy` {self.name}. Received: jit_compile=True")
        if policy == "mixed_float16" and self.replicas != 1:
            raise ValueError(
                f"`precision` must be bfloat16 or float32 with `strategy` {self.name}: the loss scaling of float16 is "
                f"of one device. Received: precision={devices.precision}"
            )

    def describe(self, batch_size):
        """Words for people: the replicas, and each one's part of a batch.

        Args:
            batch_size: int, images of each domain in a step of all replicas.
        """
        if self.name == "none":
            return "one device"
        replicas = "replicas that are counted at the start" if self.replicas is None else _count(self.replicas)
        text = f"{self.name}, {replicas}"
        if self.replicas:
            text += f" of {batch_size // self.replicas} of a batch's {batch_size} images each"
        if self.are_many:
            role = "the chief, which writes" if self.is_chief else "which writes nothing"
            text += f"; process {self.cluster.index} of {self.cluster.workers}, {role}"
        return text

    def scope(self):
        """The context in which models are made and compiled."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()

    def batches(self, stream, batch_size):
        """Batches for `fit`; each replica gets its own part of a batch.

        Args:
            stream: callable `(shard, shards) -> tf.data.Dataset`: slice number `shard` of `shards` equal slices of each
                batch.
            batch_size: int, images in a whole batch.

        Returns:
            `tf.data.Dataset`, or a distributed one.
        """
        if self.strategy is None:
            return stream(0, 1)

        def of_worker(context):
            batches = stream(context.input_pipeline_id, context.num_input_pipelines)
            size = context.get_per_replica_batch_size(batch_size)
            if size * context.num_input_pipelines != batch_size:  # this worker has several replicas, which take turns
                batches = batches.rebatch(size, drop_remainder=True)
            return batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))

        return self.strategy.distribute_datasets_from_function(of_worker)

    def wait(self):
        """Waits until all workers call it."""
        if self.are_many:
            all_values(self.strategy, 0)

    def check_alike(self, value, message):
        """Raises `ValueError` unless all workers have the same value.

        Args:
            value: int.
            message: str, the error's first sentence.
        """
        if self.are_many and len(set(found := all_values(self.strategy, value))) > 1:
            raise ValueError(f"{message}. Received: {', '.join(map(str, found))} on the workers in their order")

    @contextlib.contextmanager
    def watched(self):
        """Raises `WorkerLost` for the errors that TensorFlow raises when another worker is gone."""
        try:
            yield
        except _LOST as error:
            if not self.are_many:
                raise
            raise WorkerLost(
                f"A worker is lost, or the way to it ({type(error).__name__}). Start all workers again: the same "
                "command goes on from the newest checkpoint"
            ) from error


def plan_workers(name):
    """The workers that a run would have, found without connecting to anything.

    Args:
        name: one of `STRATEGIES`.

    Returns:
        `Workers` without a strategy.

    Raises:
        ValueError: if there is no such strategy, or TF_CONFIG describes no cluster.
    """
    check_choice("strategy", name, STRATEGIES)
    if name == "tpu":
        return Workers(name, replicas=None)
    if name == "multi_worker":
        cluster = read_cluster()
        gpus = len(tf.config.list_physical_devices("GPU"))
        return Workers(name, replicas=cluster.workers * max(gpus, 1), cluster=cluster)
    return Workers(name, replicas=len(_local_devices()) if name == "mirrored" else 1)


def open_workers(name):
    """Makes the strategy of a run. Call it before TensorFlow computes anything.

    `"multi_worker"` waits until all processes in TF_CONFIG have called it.

    Args:
        name: one of `STRATEGIES`: `"none"`; `"mirrored"`, all GPUs of this machine, or its CPU; `"multi_worker"`, all
            GPUs of several machines, or their CPUs; `"tpu"`, the TPU of this machine or of TPU_NAME.

    Returns:
        `Workers`.

    Raises:
        ValueError: if there is no such strategy, TF_CONFIG describes no cluster, or there is no TPU.

    Example:
        >>> workers = open_workers("mirrored")
        >>> with workers.scope():
        ...     model = CycleGAN()  # doctest: +SKIP
    """
    plan = plan_workers(name)
    strategy = {"none": lambda: None, "mirrored": _mirrored, "multi_worker": _multi_worker, "tpu": _tpu}[name]()
    replicas = 1 if strategy is None else strategy.num_replicas_in_sync
    return Workers(name, strategy, replicas, plan.cluster)


def _mirrored():
    return tf.distribute.MirroredStrategy(_local_devices())


@functools.cache
def _multi_worker():
    """One strategy in a process: a second would take the connections of the first while other workers use them."""
    return tf.distribute.MultiWorkerMirroredStrategy()


def _local_devices():
    return [device.name for device in tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")]


def _tpu():
    place = os.environ.get("TPU_NAME", "local")
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=place)
        if place != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        strategy = tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # the resolver has many kinds of errors where there is no TPU
        raise ValueError(
            f"`strategy` tpu needs a TPU: on this machine, or TPU_NAME names it. Received: {place}, where there is "
            f"none ({one_line(error)[:160]})"
        ) from error
    if strategy.extended.num_hosts > 1:
        raise ValueError(
            "`strategy` tpu must have the TPUs of one host, as one process decodes all images. "
            f"Received: a TPU of {strategy.extended.num_hosts} hosts"
        )
    return strategy


def _count(replicas):
    return f"{replicas} replica" + ("" if replicas == 1 else "s")


def read_cluster(text=None):
    """The cluster that TF_CONFIG describes.

    Args:
        text: optional str, JSON. Defaults to the environment variable.

    Returns:
        `Cluster`.

    Raises:
        ValueError: if the variable is not set, or describes no cluster.
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
