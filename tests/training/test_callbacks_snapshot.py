"""Snapshots: whatever writes into a variable, what was taken keeps its values; every model in test_contract.py."""

import threading
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from callbacks_fake import FakeModel
from conftest import SMALL

from tf_cyclegan import Pix2PixHD
from tf_cyclegan.models.optimizers import Adam
from tf_cyclegan.training.callbacks import Snapshot


class Variables(keras.Model):
    """A variable for each way in which variables are written."""

    def __init__(self):
        super().__init__()
        kinds = ("assign", "assign_add", "adam", "scatter")
        self.kinds = {kind: self.add_weight(shape=(64, 8), initializer="ones", name=kind) for kind in kinds}
        self.norm = keras.layers.BatchNormalization(momentum=0.5)
        self.norm.build((None, 8))
        self.seeds = keras.random.SeedGenerator(1)
        self.optimizer = Adam(0.1)
        self.optimizer.build([self.kinds["adam"]])
        self.built = True

    def write(self):
        self.kinds["assign"].assign(tf.fill([64, 8], 2.0))
        self.kinds["assign_add"].assign_add(tf.fill([64, 8], 2.0))
        self.optimizer.apply([tf.ones([64, 8])], [self.kinds["adam"]])
        self.kinds["scatter"].value.scatter_update(tf.IndexedSlices(tf.zeros([8]), 3))
        self.norm(keras.random.normal((4, 8), 5.0, seed=self.seeds), training=True)


@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_every_way_of_writing_leaves_a_snapshot_as_it_is(how):
    model = Variables()
    write = {
        "eager": model.write,
        "graph": tf.function(model.write),
        "xla": tf.function(model.write, jit_compile=True),
    }[how]
    for _ in range(2):  # the second finds a pool that has been scattered to, which is another kind of variable
        snapshot = Snapshot(model)
        before = {id(variable): variable.numpy() for variable, _ in snapshot._values}
        for _ in range(3):
            write()
        changed = [v.path for v, _ in snapshot._values if not np.array_equal(v.numpy(), before[id(v)])]
        assert len(changed) >= 9  # four kinds, two moments, iteration, two moving statistics, the seeds
        for variable, value in snapshot._values:
            np.testing.assert_array_equal(value, before[id(variable)], err_msg=variable.path)
        model.kinds["assign"].assign(tf.zeros([64, 8]))


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read("config.json"), archive.read("model.weights.h5")


def test_a_thread_writes_what_saving_would_have_written(tmp_path):
    model = FakeModel()
    model.shift.assign(0.25)
    model.save(tmp_path / "expected.keras")
    snapshot = Snapshot(model)
    model.shift.assign(9)
    model.step.assign(9)
    model.optimizer.learning_rate = 0.5
    thread = threading.Thread(target=snapshot.save, args=(tmp_path / "written.keras",))
    thread.start()
    thread.join()
    assert contents(tmp_path / "written.keras") == contents(tmp_path / "expected.keras")
    assert float(model.shift) == 9, "other threads, and what comes after, see the model as it is"


def test_the_stage_is_that_of_the_snapshot(tmp_path):
    stages = dict(enhancers=1, local_residual_blocks=1, stage_epochs=(1, 1), pool_size=0)
    tiny = dict(residual_blocks=1, downsamplings=1, discriminator_layers=1, lambda_perceptual=0.0)
    model = Pix2PixHD(**{**SMALL, **tiny, **stages})
    snapshot = Snapshot(model)
    model.stage = "enhancer"
    snapshot.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").stage == "global" and model.stage == "enhancer"


def test_a_variable_that_was_not_taken_is_an_error_not_a_newer_value(tmp_path):
    model = FakeModel()
    snapshot = Snapshot(model)
    snapshot._values = snapshot._values[1:]
    with pytest.raises(RuntimeError, match="missing in the snapshot"):
        snapshot.save(tmp_path / "model.keras")


def test_broken_weights_are_those_of_the_snapshot():
    model = FakeModel()
    snapshot = Snapshot(model)
    model.shift.assign(np.nan)
    assert snapshot.broken_weights() == [] and [path[-5:] for path in Snapshot(model).broken_weights()] == ["shift"]
