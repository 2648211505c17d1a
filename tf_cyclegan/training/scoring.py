"""Evaluation during training: what is scored, how often, and the closing lines of a run."""

from tf_cyclegan.data.loading import open_data
from tf_cyclegan.evaluation.catalog import DISTANCES, METRICS
from tf_cyclegan.evaluation.diagnostics import diagnose, score_of
from tf_cyclegan.evaluation.examples import has_answers
from tf_cyclegan.evaluation.instruments import open_instruments
from tf_cyclegan.evaluation.metrics.features import INCEPTION
from tf_cyclegan.evaluation.scores import Evaluator, flat_scores
from tf_cyclegan.evaluation.tables import finding_lines, in_flags, read_best, read_rows
from tf_cyclegan.settings.checks import check_choice
from tf_cyclegan.settings.train import TRAIN_NAMES
from tf_cyclegan.settings.user_errors import is_ours, renamed, with_flags
from tf_cyclegan.training import callbacks

# Epochs from one evaluation to the next where the right answers are known: their errors need no further network.
EVERY = 5
_CLOSING_LEVELS = ("problem", "caution")


class Scorer:
    """Scores a model on the test split of its data; the `score` of `callbacks.Evaluation`.

    Args:
        model: `TranslationModel`.
        settings: `EvaluationSettings`.
        data: resolved `DataSettings`.
        view: `View` of the training data.

    Attributes:
        result: dict that the last `Evaluator.evaluate()` returned, or None.
        best_by: str, the score that chooses the best checkpoint, or None.

    Raises:
        ValueError: if there is no test split, the features cannot be loaded, or no score is named `best_by`.
    """

    def __init__(self, model, settings, data, view):
        seed = data.seed % 2**32  # NumPy takes no negative seed
        data = open_data(data, view._replace(split="test"), augment=False).load()
        best_by = settings.best_by
        features = settings.evaluate_features or (INCEPTION if _needs_features(best_by, has_answers(data)) else None)
        names = [name for name in METRICS if name not in DISTANCES and name != "perceptual"]
        instruments = open_instruments([*(["fid", "kid"] if features else []), *names], features, required=False)
        if reasons := {instruments.left_out[name] for name in DISTANCES if name in instruments.left_out}:
            raise ValueError(f"{reasons.pop()}; or take another `best_by`, for example cycle")
        self._evaluator = Evaluator(model, data, instruments, count=settings.evaluate_count, seed=seed)
        self.result = None
        self.best_by = best_by or self._default_score()
        if self.best_by is not None:
            check_choice("best_by", self.best_by, self._available())

    def __call__(self, model):
        """The scores of the model as it is now, for example `{"l1_ab": 0.24}`."""
        self.result = self._evaluator.evaluate()
        return flat_scores(self.result)

    def _default_score(self):
        available = self._available()
        return next((name for name in ("kid", "kernel", "l1") if name in available), None)

    def _available(self):
        """The scores that rank models, each with and without its direction."""
        names = []
        for direction in self._evaluator.directions:
            for name in self._evaluator.metrics(direction):
                names += [name, f"{name}_{direction}"] if METRICS[name].better else []
        return list(dict.fromkeys(names))


def new_evaluation(model, settings, data, view, train_data, **wiring):
    """The callback of a run, or None where nothing is to be evaluated.

    Args:
        model: `TranslationModel`.
        settings: `EvaluationSettings`.
        data: resolved `DataSettings`.
        view: `View` of the training data.
        train_data: `TranslationDataset` of the training data.
        **wiring: further arguments of `callbacks.Evaluation`, at least `folder` and `report`.

    Returns:
        `callbacks.Evaluation` whose `score` is a `Scorer`, or None.

    Raises:
        ValueError: if the settings ask for an evaluation that is not possible.
    """
    if settings.evaluate_every == 0:
        return None
    asked = settings.is_asked_for
    if not asked and not (train_data.paired or data.is_emoji):
        return None
    try:
        with renamed(features="evaluate_features"):
            scorer = Scorer(model, settings, data, view)
    except ValueError as error:
        if asked or not is_ours(error):
            raise
        wiring["report"](f"Not evaluated during training: {with_flags(str(error), TRAIN_NAMES, name='--dataset')}")
        return None
    return callbacks.Evaluation(
        scorer,
        every=settings.evaluate_every or EVERY,
        best_by=scorer.best_by,
        steps_per_epoch=train_data.steps_per_epoch,
        **wiring,
    )


def closing_lines(folder, evaluation=None, model=None):
    """Lines for the end of a run: the last and the best score, and the findings that are not healthy.

    Args:
        folder: run folder.
        evaluation: optional `callbacks.Evaluation` of the run. Defaults to None.
        model: optional `TranslationModel` for `diagnose`. Defaults to None.

    Returns:
        List of lines of text.
    """
    rows, best = read_rows(folder / "metrics.csv"), read_best(folder)
    lines = []
    if evaluation is not None and rows and best:
        now = score_of(rows[-1], best["score"])
        lines.append(
            f"Last: {best['score']} {now:.4g} at step {int(rows[-1]['step']):,}. Best: {best['value']:.4g} at step "
            f"{best['step']:,}, kept as {folder / 'checkpoints' / 'best.keras'}."
        )
    result = evaluation.score.result if evaluation is not None else None
    findings = diagnose(result, read_rows(folder / "losses.csv"), rows if evaluation else (), best, model)
    lines += finding_lines([finding for finding in in_flags(findings) if finding.level in _CLOSING_LEVELS])
    return [*lines, f"Scores, diagnostics and pictures: tf-cyclegan evaluate {folder}"]


def _needs_features(best_by, answers):
    """Whether a distance chooses the best checkpoint; it is the only measure without right answers."""
    return (best_by or ("l1" if answers else "kid")).split("_")[0] in DISTANCES
