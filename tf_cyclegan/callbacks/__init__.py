"""Callbacks of `fit`: sample pictures, scores, health, progress, checkpoints and stopping. Each can be used alone."""

from tf_cyclegan.callbacks.checkpoints import Checkpoints
from tf_cyclegan.callbacks.evaluation import Evaluation
from tf_cyclegan.callbacks.health import Health, TrainingDiverged
from tf_cyclegan.callbacks.input_wait import InputWait
from tf_cyclegan.callbacks.interrupt import Interrupt
from tf_cyclegan.callbacks.loss_table import LossTable
from tf_cyclegan.callbacks.progress import Progress
from tf_cyclegan.callbacks.samples import SampleGrid
from tf_cyclegan.callbacks.snapshot import Snapshot
from tf_cyclegan.callbacks.time_budget import TimeBudget
from tf_cyclegan.callbacks.together import AgreedInterrupt, ReplicaStates
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
