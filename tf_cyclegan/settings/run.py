"""The settings of a training run, without the settings of its data and its model."""

import dataclasses
import math
from pathlib import Path
from typing import Literal

from tf_cyclegan.settings.checks import check_integer, check_positive
from tf_cyclegan.settings.fields import FREE, TAKEN, derived, setting, settings

MULTI_WORKER = "multi_worker"


@settings
class ScheduleSettings:
    """The length of a run, and its learning rate."""

    epochs: int = derived(100, shown="100; for emoji few", resume=TAKEN)
    """Epochs with the full learning rate."""
    decay_epochs: int = derived(100, shown="100; for emoji few", resume=TAKEN)
    """Epochs after --epochs, in which the learning rate falls."""
    steps: int = derived(shown="none", resume=TAKEN)
    """End the run after this many steps, even if epochs are left."""
    minutes: float = derived(shown="10 for cyclegan on emoji without --epochs and --steps, else none", resume=TAKEN)
    """How long the training may take. The first steps are measured, then the number of steps is fixed. --epochs and
    --decay-epochs are then the proportion of the two parts."""
    learning_rate: float = derived(
        2e-4, emoji=4e-4, shown="2e-4, 1e-4 for unit; 4e-4 for most models on emoji", resume=TAKEN
    )
    """Adam's learning rate."""
    schedule: Literal["linear", "step", "cosine", "constant"] = derived(
        "linear", shown="linear; step for unit", resume=TAKEN
    )
    """Learning-rate schedule. linear: constant for --epochs, then down over --decay-epochs. step: multiplied by
    --decay-rate every --decay-epochs. cosine: half a cosine towards 0."""
    decay_rate: float = derived(0.1, shown="0.1; 0.5 for unit", resume=TAKEN)
    """Factor of the learning rate for --schedule=step."""

    @property
    def is_given(self):
        """Whether the user gives the length of the run in epochs or steps."""
        return any(length is not None for length in (self.epochs, self.decay_epochs, self.steps))

    def total_steps(self, steps_per_epoch):
        """Steps of the whole run, in a run without minutes."""
        steps = (self.epochs + self.decay_epochs) * steps_per_epoch
        return min(steps, self.steps or steps)

    def check(self):
        """Raises `ValueError` if a setting is out of its range."""
        for name in ("epochs", "decay_epochs"):
            check_integer(name, getattr(self, name), 0)
        if self.epochs + self.decay_epochs < 1:
            raise ValueError("`epochs` and `decay_epochs` must not both be 0: a run has an epoch")
        if self.schedule == "step" and self.decay_epochs < 1:
            raise ValueError("`decay_epochs` must be at least 1 with `schedule` step. Received: decay_epochs=0")
        if self.steps is not None:
            check_integer("steps", self.steps, 1)
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ValueError(f"`minutes` must be above 0. Received: minutes={self.minutes:g}")
        check_positive("learning_rate", self.learning_rate)


@settings
class DeviceSettings:
    """The devices that compute, and their precision."""

    # A resumed run compares the dtype policies of the models.
    precision: Literal["auto", "float32", "bfloat16", "float16"] = setting("auto", resume=FREE)
    """Precision of the computation. auto: bfloat16 on TPUs, on GPUs since Ampere, and on CPUs with AMX or AVX-512 BF16
    if a measurement of a few seconds finds it faster; else float32. A resumed run keeps its precision."""
    jit_compile: bool = setting(False, resume=TAKEN)
    """Compile with XLA, which is slower on CPUs."""
    strategy: Literal["none", "mirrored", "multi_worker", "tpu"] = setting("none", resume=TAKEN)
    """Devices that share each batch. none: one device. mirrored: all GPUs of this machine. multi_worker: the GPUs of
    all machines in TF_CONFIG; start this command on each of them. tpu: the TPU of this machine or of TPU_NAME."""


@settings
class FolderSettings:
    """The run folder, and the files in it."""

    output_dir: Path = derived(shown="runs/DATASET", metavar="FOLDER", resume=FREE)
    """Run folder, for checkpoints, samples and logs."""
    resume: bool = setting(True, resume=FREE)
    """Go on from the newest checkpoint in the run folder; --no-resume moves an earlier run aside and begins anew."""
    keep_checkpoints: int = setting(3, resume=TAKEN)
    """Number of newest checkpoints to keep."""
    checkpoint_steps: int = setting(500, resume=TAKEN)
    """Steps from one checkpoint to the next within an epoch."""
    samples: int = setting(6, resume=TAKEN)
    """Images of each domain in the sample grid."""

    def check(self):
        """Raises `ValueError` if a setting is out of its range."""
        for name in ("samples", "keep_checkpoints", "checkpoint_steps"):
            check_integer(name, getattr(self, name), 1)


@settings
class EvaluationSettings:
    """Evaluation during training."""

    evaluate_every: int = derived(
        shown="5 where the right answers are known: emoji, pairs; else 0", metavar="EPOCHS", resume=TAKEN
    )
    """Epochs from one evaluation on the test split to the next, 0 for no evaluation; the last one is at the end of the
    run. The best checkpoint is kept as checkpoints/best.keras. With right answers, evaluation takes about 1 % of the
    time."""
    evaluate_count: int = setting(50, resume=TAKEN)
    """Largest number of images of each domain that are evaluated."""
    evaluate_features: str = derived(
        shown="inception if --best-by needs it, else none", metavar="inception|FILE", resume=TAKEN
    )
    """Feature network of the distances (FID and KID with inception), as --features of evaluate; slow without a GPU."""
    best_by: str = derived(shown="kid with features, else l1", metavar="SCORE", resume=TAKEN)
    """Score that chooses the best checkpoint: fid, kid, l1, psnr, ssim, cycle, ...; or the score of one direction, such
    as l1_ab."""

    @property
    def is_asked_for(self):
        """Whether a setting asks for evaluations."""
        return any(value is not None for value in (self.evaluate_every, self.evaluate_features, self.best_by))

    def check(self):
        """Raises `ValueError` if a setting is out of its range."""
        check_integer("evaluate_every", self.evaluate_every or 0, 0)
        check_integer("evaluate_count", self.evaluate_count, 2)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """A training run, without its data and its model."""

    schedule: ScheduleSettings = ScheduleSettings()
    devices: DeviceSettings = DeviceSettings()
    folder: FolderSettings = FolderSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @property
    def may_have_minutes(self):
        """Whether a default number of minutes applies: only if the user gives no other length of the run."""
        return not self.schedule.is_given and self.devices.strategy != MULTI_WORKER

    def check(self):
        """Raises `ValueError` if a setting is out of its range, or does not fit another setting."""
        for group in (self.folder, self.schedule, self.evaluation):
            group.check()
        if self.schedule.minutes is not None and self.schedule.steps is not None:
            refuse_minutes("steps", self.schedule.steps, "a run ends by one of them")
        if self.schedule.minutes is not None and self.devices.strategy == MULTI_WORKER:
            refuse_minutes("strategy", MULTI_WORKER, "machines that measure apart would not agree")


def refuse_minutes(name, received, reason):
    """Raises `ValueError` that `minutes` does not go with another setting."""
    raise ValueError(f"`minutes` must be left out with `{name}`: {reason}. Received: {name}={received}")
