"""Callbacks of `fit`: sample grids, scores, health, progress, checkpoints and stopping. Each can be used alone."""

from tf_cyclegan.training.callbacks.checkpoints import Checkpoints, ReplicaStates
from tf_cyclegan.training.callbacks.evaluation import Evaluation
from tf_cyclegan.training.callbacks.health import Health, TrainingDiverged
from tf_cyclegan.training.callbacks.input_wait import InputWait
from tf_cyclegan.training.callbacks.interrupt import AgreedInterrupt, Interrupt
from tf_cyclegan.training.callbacks.loss_table import LossTable
from tf_cyclegan.training.callbacks.progress import Progress
from tf_cyclegan.training.callbacks.samples import SampleGrid
from tf_cyclegan.training.callbacks.snapshot import Snapshot
from tf_cyclegan.training.callbacks.time_budget import TimeBudget
from tf_cyclegan.weights.run_files import check_file, list_checkpoints, load_newest, newest_checkpoint, read_settings

__all__ = [
    "AgreedInterrupt",
    "Checkpoints",
    "Evaluation",
    "Health",
    "InputWait",
    "Interrupt",
    "LossTable",
    "Progress",
    "ReplicaStates",
    "SampleGrid",
    "Snapshot",
    "TimeBudget",
    "TrainingDiverged",
    "check_file",
    "list_checkpoints",
    "load_newest",
    "newest_checkpoint",
    "read_settings",
]
