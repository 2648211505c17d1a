"""The settings of `tf-cyclegan train`: the data, one model, and the run."""

import dataclasses
import json
from pathlib import Path
from typing import Generic, Literal, TypeVar

from tf_cyclegan.settings.data import DataSettings, Situation, parse_size
from tf_cyclegan.settings.fields import FREE, UNSAID, derived, facts_of, flat, names_of, replaced, setting, settings
from tf_cyclegan.settings.models import MODEL_SETTINGS, CycleGANSettings, ModelSettings
from tf_cyclegan.settings.run import RunSettings

# Images whose sides are both below this are small.
SMALL = 256
OfModel = TypeVar("OfModel", bound=ModelSettings)


@settings
class StartSettings:
    """The beginning of a run."""

    model: Literal[tuple(MODEL_SETTINGS)] = setting("cyclegan")
    """Model to train. pix2pix and pix2pixhd need pairs of images."""
    initial_model: Path = derived(shown="new networks", metavar="MODEL", resume=FREE)
    """Model whose weights the run begins with: a run folder, a .keras file (`tf-cyclegan convert` makes one of
    PyTorch's weights), a generator's weights, a folder of weights, or emoji for the bundled weights. The run has the
    settings of the model's networks. Optimizers are new, and so are discriminators if the model has none."""
    dry_run: bool = setting(False, resume=FREE)
    """Print the settings, learning rates, parameters, multiply-adds and memory, and train nothing. Needs no data."""


@dataclasses.dataclass(frozen=True)
class TrainSettings(Generic[OfModel]):
    """Trains a model that translates images between two domains."""

    start: StartSettings = StartSettings()
    data: DataSettings = DataSettings()
    of_model: OfModel = CycleGANSettings()
    run: RunSettings = RunSettings()

    @property
    def model(self):
        """The name of the model."""
        return self.start.model

    def get(self, name):
        """The value of a setting; None for a setting of other models."""
        return flat(self).get(name)

    def replaced(self, **values):
        """The same settings with other values.

        Raises:
            ValueError: for a setting that the model does not have.
        """
        own = names_of(self)
        for name in sorted(values):
            if name not in own and values[name] is not None:
                raise ValueError(f"`{name}` has no use with `model` {self.model}. Received: {name}={values[name]}")
        return replaced(self, values)

    def resolved(self):
        """The same settings with the defaults of the model and the data set filled in.

        Returns:
            `TrainSettings`. A setting that is still None has no default, or its default is in the model.

        Raises:
            ValueError: if a setting is out of its range, or only one of `data_a` and `data_b` is given.
        """
        self.data.check_folders()
        config = self
        if self.data.dataset is None:
            config = self.replaced(dataset=self.of_model.dataset if self.data.data_a is None else "")
        config = config.filled(config._of_run())
        config = config.filled(config.of_model.defaults(config._situation()))
        config.data.check()
        config.run.check()
        config.of_model.check(config.data, config.run.schedule)
        return config

    def filled(self, values):
        """The same settings, with the values of a dict for those that are None."""
        return self.replaced(**{name: value for name, value in values.items() if self.get(name) is None})

    def _of_run(self):
        """The defaults of the settings of the data and of the run."""
        facts = facts_of(self.data) | facts_of(self.run)
        values = {name: each.default for name, each in facts.items()} | self.of_model.run
        if self.data.is_emoji:
            values |= {name: each.emoji for name, each in facts.items() if each.emoji is not UNSAID}
            values |= self.of_model.emoji_run
        channels = self.data.channels_with(self.of_model.labels)
        name = self.data.name if self.model == StartSettings.model else f"{self.data.name}-{self.model}"
        values |= dict(zip(("channels", "channels_b"), channels, strict=True))
        values |= {"value_range_b": self.data.value_range, "output_dir": Path("runs", name)}
        return values if self.run.may_have_minutes else values | {"minutes": None}

    def _situation(self):
        data = self.data
        small = max(parse_size(data.image_size, "image_size")) < SMALL
        return Situation(data.is_emoji, small, data.fixed_size, (data.channels, data.channels_b))

    def to_dict(self):
        """The settings as values of JSON, with None for the settings of other models."""
        values = dict.fromkeys(TRAIN_NAMES) | flat(self)
        return json.loads(json.dumps(values, default=str))


# The `Facts` of all settings of all models, the data and the run.
TRAIN_FACTS = {
    name: facts for kind in (*MODEL_SETTINGS.values(), TrainSettings) for name, facts in facts_of(kind).items()
}
TRAIN_NAMES = tuple(TRAIN_FACTS)


def train_settings(model=StartSettings.model, **values):
    """The settings of a run from their names.

    Args:
        model: str, name of the model. Defaults to `"cyclegan"`.
        **values: settings of the data, the model and the run; None means not given.

    Returns:
        `TrainSettings`, not resolved.

    Raises:
        ValueError: for a setting that the model does not have.
    """
    if unknown := values.keys() - set(TRAIN_NAMES):
        raise TypeError(f"There are no settings {', '.join(sorted(unknown))}")
    config = TrainSettings(StartSettings(model), of_model=MODEL_SETTINGS[model]())
    return config.replaced(**{name: value for name, value in values.items() if value is not None})


def names_that(resume):
    """Tuple of the names of the settings with this `resume`, see `setting`."""
    return tuple(name for name, facts in TRAIN_FACTS.items() if facts.resume == resume)
