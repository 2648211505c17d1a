"""The callbacks of a run, which write its folder and know how many steps it has."""

from pathlib import Path

import keras

from tf_cyclegan.training import callbacks
from tf_cyclegan.training.cost import plan_text
from tf_cyclegan.training.resuming import write_config


class RunCallbacks:
    """The callbacks of a run.

    Args:
        model: `TranslationModel`, compiled.
        data: loaded `TranslationDataset`.
        run: resolved `RunSettings`.
        settings: dict of the settings that each checkpoint holds.
        workers: `Workers`.
        rate: learning-rate schedule of the run.
        new_evaluation: callable that takes `save`, `log_dir` and `report`, and returns a `callbacks.Evaluation` or
            None.

    Attributes:
        total_steps: int, steps of the whole run; None in a run of minutes until the number is decided.
        for_fit: list of the callbacks that `fit` takes.
        checkpoints, interrupt: the callbacks of these kinds.
        evaluation: `callbacks.Evaluation`, or None.
    """

    def __init__(self, model, data, run, settings, workers, rate, new_evaluation):
        self.model, self.workers, self.rate = model, workers, rate
        self.folder = Path(run.folder.output_dir)
        self.minutes, self.steps_per_epoch = run.schedule.minutes, data.steps_per_epoch
        planned = self.minutes is not None
        self.total_steps = rate.total_steps if planned else run.schedule.total_steps(data.steps_per_epoch)
        self.input_wait = callbacks.InputWait()
        self.progress = self._new_progress(data.batch_size)
        self.checkpoints = self._new_checkpoints(run.folder, settings)
        self.evaluation = None
        self._report = self.progress.write if workers.is_chief else lambda line: None
        self.interrupt = (callbacks.AgreedInterrupt if workers.are_many else callbacks.Interrupt)(self._report)
        images = data.samples(run.folder.samples)
        self.for_fit = [
            self.interrupt,
            self.input_wait,
            callbacks.Health(*images, names=data.names, report=self._report, images=data.counts),
            callbacks.ReplicaStates(run.folder.checkpoint_steps, keep=workers.is_chief),
        ]
        if workers.is_chief:
            self.for_fit += self._writing_callbacks(images, new_evaluation)

    @property
    def way_on(self):
        """What trains a complete run further."""
        if self.minutes is None:
            return "More --epochs or --steps go on from here."
        return "--steps in the place of --minutes goes on from here."

    def batches(self, data, first_step):
        """The batches of `fit` from a step on, each worker's part of them."""

        def stream(shard, shards):
            return self.input_wait.watch(data.stream(first_step, shard, shards))

        return self.workers.batches(stream, data.batch_size)

    def save(self, again=False):
        """Saves the model if this worker is the one that writes; returns the path, or None."""
        return self.checkpoints.save(again) if self.workers.is_chief else None

    def _new_progress(self, batch_size):
        step = int(self.model.step.numpy())
        return callbacks.Progress(
            total_steps=self.total_steps and max(self.total_steps, step),
            first_step=step,
            batch_size=batch_size,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self._epochs(),
            input_wait=self.input_wait,
            forecast=self.minutes is None,
        )

    def _new_checkpoints(self, folder, settings):
        checkpoints = callbacks.Checkpoints(
            self.folder / "checkpoints",
            keep=folder.keep_checkpoints,
            frequency_steps=folder.checkpoint_steps,
            settings=settings,
        )
        checkpoints.set_model(self.model)  # for `save` before and after `fit`
        return checkpoints

    def _writing_callbacks(self, images, new_evaluation):
        log_dir = self.folder / "logs"
        self.evaluation = new_evaluation(save=self.checkpoints.save, log_dir=log_dir, report=self._report)
        if self.evaluation is not None:
            self.evaluation.set_model(self.model)
        undecided = self.minutes is not None and self.total_steps is None
        return [
            *([self._time_budget()] if undecided else []),
            self.progress,
            *([] if self.evaluation is None else [self.evaluation]),
            self.checkpoints,
            callbacks.SampleGrid(*images, self.folder / "samples", log_dir=log_dir),
            callbacks.LossTable(self.folder / "losses.csv", self._report),
            keras.callbacks.TensorBoard(str(log_dir), write_graph=False),
        ]

    def _epochs(self):
        """Epochs of the whole run, the last of which may be cut short; None until the steps are decided."""
        return self.total_steps and -(-self.total_steps // self.steps_per_epoch)

    # ---- a run of minutes ----

    def _time_budget(self):
        every = None if self.evaluation is None else self.evaluation.every * self.steps_per_epoch
        return callbacks.TimeBudget(60 * self.minutes, self.steps_per_epoch, self._decide, every)

    def _decide(self, plan):
        """Fixes the number of steps, here and in the run folder: the run resumes with the same number."""
        self.rate.decide(plan["steps"], plan["measured_steps"])
        self.total_steps = plan["steps"]
        self.checkpoints.settings = {**self.checkpoints.settings, "plan": plan}
        write_config(self.folder, self.checkpoints.settings)
        self.checkpoints.save_beside_training()
        self.progress.set_total(self.total_steps, self._epochs())
        self.progress.write(plan_text(self.minutes, plan, self.rate))
        step = plan["measured_steps"]
        epoch_end = -(-step // self.steps_per_epoch) * self.steps_per_epoch
        if step % self.steps_per_epoch and self.total_steps < epoch_end:
            self.model.stop_training = True  # a last epoch that is cut short is a `fit` of its own
