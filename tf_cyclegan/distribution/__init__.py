"""Several devices and several machines through `tf.distribute`."""

from tf_cyclegan.distribution.workers import STRATEGIES, WorkerLost, Workers, open_workers, plan_workers

__all__ = [
    "STRATEGIES",
    "WorkerLost",
    "Workers",
    "open_workers",
    "plan_workers",
]
