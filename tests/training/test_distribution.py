"""Several devices and several processes train what one device trains."""

import inspect
import io
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, TESTS, open_dataset, random_batches, random_images
from test_contract import SMALLER

from tf_cyclegan import CycleGAN
from tf_cyclegan.cli import main
from tf_cyclegan.data import images
from tf_cyclegan.models import MODELS
from tf_cyclegan.models.image_pool import ImagePool
from tf_cyclegan.models.keras_overrides import KERAS_INTERNALS
from tf_cyclegan.training.callbacks import ReplicaStates
from tf_cyclegan.training.workers import Cluster, open_workers, plan_workers, read_cluster
from tf_cyclegan.weights.run_files import newest_checkpoint

PROCESS = TESTS / "distribution_process.py"
STEPS = 10
FLAGS = ["--image-size=32", "--filters=4", "--discriminator-filters=4", "--residual-blocks=2", "--batch-size=4"]
FLAGS += ["--lambda-identity=0", "--epochs=1", "--decay-epochs=0", "--samples=1", "--checkpoint-steps=3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images for ten batches of four, fewer in B."""
    photos = tmp_path_factory.mktemp("photos")
    for name, count in {"trainA": 40, "trainB": 30, "testA": 1, "testB": 1}.items():
        (photos / name).mkdir()
        for index, image in enumerate(random_images(count, 36, 40, seed=len(name) + count)):
            images.save_png(photos / name / f"{index}.png", images.to_uint8(image))
    return photos


def settings(photos, work, name, strategy, pool, **others):
    """A run for the process, into the folder `name`."""
    flags = [*FLAGS, f"--dataset={photos}", f"--output-dir={work / name}", f"--strategy={strategy}"]
    return {"name": f"{name}.json", "flags": [*flags, f"--pool-size={pool}"], **others}


def single(photos, work, name, strategy):
    """The same in float32, at a tenth of the usual rate, at which rounding stays small.

    In a process of its own: TensorFlow refuses a second mirrored strategy that reduces another dtype.
    """
    run = settings(photos, work, name, strategy, 0, policy="float32")
    return {**run, "flags": [*run["flags"], "--learning-rate=2e-5"]}


def start(folder, *arguments, **environment):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(PROCESS), *(a if isinstance(a, str) else json.dumps(a) for a in arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def end(processes):
    """Outputs, errors and exit codes; nothing outlives the test."""
    try:
        texts = [process.communicate(timeout=3000) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(*text, process.returncode) for text, process in zip(texts, processes, strict=True)]


def codes_of(ended):
    output, errors, code = ended
    assert code == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


def two_workers(work, *runs_of_each):
    """Ends two processes that train together; `runs_of_each` are the runs of the first and of the second."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("localhost", 0))
        addresses = [f"localhost:{each.getsockname()[1]}" for each in (one, other)]
    configs = [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}) for index in (0, 1)
    ]
    return end(
        [
            start(work / f"worker{index}", *runs, TF_CONFIG=config)
            for index, (runs, config) in enumerate(zip(runs_of_each, configs, strict=True))
        ]
    )


@pytest.fixture(scope="module")
def devices(folder, tmp_path_factory):
    """A folder with the runs of one device, of two, and of two with pools, and of the first two in float32."""
    work = tmp_path_factory.mktemp("devices")
    runs = [
        settings(folder, work, "none", "none", 0),
        settings(folder, work, "mirrored", "mirrored", 0),
        settings(folder, work, "pooled", "mirrored", 2),
    ]
    assert codes_of(end([start(work, "devices", *runs)])[0]) == [0, 0, 0]
    singles = [single(folder, work, f"{name}_single", name) for name in ("none", "mirrored")]
    assert codes_of(end([start(work, "devices", *singles)])[0]) == [0, 0]
    return work


@pytest.fixture(scope="module")
def workers(folder, tmp_path_factory):
    """A folder with runs of two workers, and one with pools of which the second worker is killed after five steps."""
    work = tmp_path_factory.mktemp("workers")
    whole = settings(folder, work, "whole", "multi_worker", 0)
    killed = settings(folder, work, "killed", "multi_worker", 2)
    whole_single = single(folder, work, "whole_single", "multi_worker")
    assert [codes_of(each) for each in two_workers(work, [whole_single], [whole_single])] == [[0], [0]]
    return work, two_workers(work, [whole, killed], [whole, {**killed, "kill": 5}])


def losses(path):
    """The losses of each step, `(steps, losses)`: what is logged are means over the steps until then."""
    means = np.array([list(row.values()) for row in json.loads(path.read_text())])
    count = np.arange(1, len(means) + 1)[:, None]
    return np.diff(means * count, axis=0, prepend=0)


def weights(run_folder):
    model = keras.models.load_model(newest_checkpoint(run_folder / "checkpoints"))
    assert int(model.step.numpy()) == STEPS
    optimizers = (model.generator_optimizer, model.discriminator_optimizer)
    variables = [*model.variables, *(variable for each in optimizers for variable in each.variables)]
    # Keras numbers the names of what holds them by what was made before.
    return {f"{index} {variable.name}": variable.numpy() for index, variable in enumerate(variables)}


@pytest.mark.parametrize("suffix", ["", "_single"])
def test_two_devices_equal_one(devices, suffix):
    one, mirrored = (losses(devices / f"{name}{suffix}.json") for name in ("none", "mirrored"))
    assert one.shape == (STEPS, 7)
    np.testing.assert_allclose(mirrored, one, rtol=1e-5)


@pytest.mark.parametrize("suffix", ["", "_single"])
def test_two_workers_equal_one_device(devices, workers, suffix):
    work, _ = workers
    one = losses(devices / f"none{suffix}.json")
    for index in (0, 1):
        np.testing.assert_allclose(losses(work / f"worker{index}" / f"whole{suffix}.json"), one, rtol=1e-5)


def test_only_the_chief_writes_and_reports(workers):
    work, ((_, chief_errors, _), (output, errors, _)) = workers
    assert sorted(path.name for path in (work / "whole" / "checkpoints").iterdir()) == [
        f"step_{step:08d}.keras" for step in (6, 9, 10)
    ]
    assert len((work / "whole" / "losses.csv").read_text().splitlines()) == 2
    assert "images/s" in chief_errors or "step 10/10" in chief_errors
    assert "Epoch" not in errors and "Computing" not in output


def test_a_killed_worker_is_started_again_and_a_stopped_one_stops_all(folder, devices, workers):
    """Ends as the undisturbed run of two devices in one process, whose pools and random states are the same."""
    work, (chief, other) = workers
    assert other[2] == -9
    assert chief[2] == 0 and json.loads(chief[0].splitlines()[-1]) == [0, 75], chief[1][-3000:]
    assert "A worker is lost" in chief[1] and "same command goes on" in chief[1]
    again = settings(folder, work, "killed", "multi_worker", 2)
    # Heard after the ninth step, agreed upon in the tenth, the last one.
    ended = two_workers(work, [again], [{**again, "stop": 8}])
    assert [codes_of(each) for each in ended] == [[130], [130]]
    assert re.search(r"Resuming from .* at step 3", ended[0][0]) and "Stopped at step 10" in ended[0][0]
    # All variables of the model and of its optimizers, of the same step.
    undisturbed, resumed = weights(devices / "pooled"), weights(work / "killed")
    assert undisturbed.keys() == resumed.keys()
    for name, value in undisturbed.items():
        np.testing.assert_allclose(resumed[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    for ours, theirs in zip(saved_pools(work / "killed"), saved_pools(devices / "pooled"), strict=True):
        assert ours.shape == (2, 2, 32, 32, 3)
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        assert not np.allclose(ours[0], ours[1]), "each replica has its own"


def saved_pools(run_folder):
    """The images of the pools as the newest checkpoint of a run holds them."""
    with zipfile.ZipFile(newest_checkpoint(run_folder / "checkpoints")) as archive:
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    return [stored["layers"][name]["vars"]["0"][:] for name in ("image_pool", "image_pool_1")]


# ---- what each worker gets ----


@pytest.mark.parametrize("shards", [2, 4])
def test_the_slices_of_the_workers_are_the_batch(folder, shards):
    data = open_dataset(str(folder), split="train", image_size=(32, 32), load_size=(36, 36), batch_size=4, seed=1)
    whole = list(data.stream(8).take(4))  # over the end of an epoch
    slices = [list(data.stream(8, shard, shards).take(4)) for shard in range(shards)]
    for step, batch in enumerate(whole):
        for domain in (0, 1):
            parts = [slices[shard][step][domain] for shard in range(shards)]
            assert parts[0].shape == (4 // shards, 32, 32, 3)
            np.testing.assert_array_equal(np.concatenate(parts), batch[domain])
    with pytest.raises(ValueError, match="`shards`.*3"):
        data.stream(0, 0, 3)


# ---- pools and random states ----


def test_pools_of_other_numbers_of_replicas(tmp_path):
    many = np.arange(2 * 3, dtype="float32").reshape(2, 3, 1, 1, 1)
    pool = ImagePool(3)
    pool.build((None, 1, 1, 1))
    pool.load_own_variables({"0": many, "1": np.array([3, 2])})
    assert np.ravel(pool.images).tolist() == [0, 1, 2] and int(pool.count) == 3
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        alone = ImagePool(3)
        alone.build((None, 1, 1, 1))
    alone.load_own_variables({"0": many[1], "1": np.array(2)})
    store = {}
    alone.save_own_variables(store)
    assert np.ravel(store["0"]).tolist() == [3, 4, 5] and store["0"].shape == (3, 1, 1, 1)


def test_replicas_are_gathered_before_anything_can_be_saved():
    gathered = []
    model = SimpleNamespace(step=tf.Variable(3), gather_replicas=gathered.append)
    states = ReplicaStates(keep=False)
    states.set_model(model)
    states.on_train_begin()
    states.on_epoch_end(0)  # nothing has changed
    assert gathered == [False]


# ---- Keras and XLA ----


def test_keras_still_is_what_is_overridden():
    """Where it fails, Keras has changed: read its `TensorFlowTrainer` again, then `distribution/overrides.py`."""
    for name, arguments in KERAS_INTERNALS.items():
        assert tuple(inspect.signature(getattr(keras.Model, name)).parameters) == arguments, name
    source = inspect.getsource(keras.Model.fit)
    assert "self._maybe_symbolic_build(" in source and "self.make_train_function()" in source
    assert "self.train_function(iterator)" in source
    assert "self.make_test_function()" in inspect.getsource(keras.Model.evaluate)
    assert "self._distribute_strategy = tf.distribute.get_strategy()" in inspect.getsource(
        inspect.getmodule(keras.Model.fit.__wrapped__).TensorFlowTrainer.__init__
    )


# A batch of 9 is normalized by moments, and the penalty takes their second derivative.
_STEPS = [*((name, batch, {}) for name in MODELS for batch in (1, 4)), ("cyclegan", 9, {"gan_mode": "wgangp"})]
_STEPS += [(name, 2, {"augment": "color,translation,cutout"}) for name in MODELS]


@pytest.mark.parametrize(("name", "batch", "settings"), _STEPS)
def test_a_whole_step_is_one_program_of_xla(name, batch, settings):
    """What a TPU asks for: XLA knows every operation and every shape, and none calls the host."""
    model = MODELS[name](**{**SMALL, **SMALLER[name], **settings})
    model.compile()
    images = tuple(map(tf.constant, (random_images(batch, seed=1), random_images(batch, seed=2))))
    step = tf.function(model.train_step, jit_compile=True, autograph=False)
    program = step.experimental_get_compiler_ir(images)(stage="hlo")
    assert "convolution(" in program and f"f32[{batch},32,32,3]" in program
    # What is no parameter of the program is a constant in it, and compiled anew when it changes.
    assert parameters(program) == len(step.get_concrete_function(images).inputs)
    # A host call is one of these; a size that is known only in the run is written with a `<=`.
    assert not [word for word in ("custom-call", "infeed", "outfeed", " send(", " recv(", "[<=") if word in program]


def parameters(program):
    """How many values a program of XLA takes when it is run."""
    return program[program.index("\nENTRY") :].count(" parameter(")


def test_the_model_under_a_strategy_as_a_library():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = CycleGAN(**SMALL, residual_blocks=1)
        with pytest.raises(ValueError, match="`jit_compile`"):
            model.compile(jit_compile=True)
        with pytest.raises(ValueError, match="`steps_per_execution`"):
            model.compile(steps_per_execution=2)
        model.compile()
    history = model.fit(random_batches(2), validation_data=random_batches(1), verbose=0, shuffle=False).history
    assert set(history) == {name for loss in ("loss", *model.loss_names) for name in (loss, f"val_{loss}")}
    assert np.isfinite(list(history.values())).all() and int(model.step.numpy()) == 2


# ---- what is refused, in one line ----


def worker(index, workers=2, role="worker"):
    return json.dumps({"cluster": {"worker": ["localhost:1"] * workers}, "task": {"type": role, "index": index}})


@pytest.mark.parametrize(
    "config, word",
    [
        (None, "is not set"),
        ("{", "no JSON"),
        ("[]", "no cluster"),
        ('{"cluster": {}}', "no cluster or no task"),
        (worker(2), "worker 2, of which there are 2"),
        (worker(0, role="ps"), "role 'ps'"),
    ],
)
def test_a_wrong_cluster_is_named(config, word, monkeypatch, capfd):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    assert main(["train", "--strategy=multi_worker"]) == 2
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1 and "--strategy" in error and "TF_CONFIG" in error and word in error


def test_the_place_in_a_cluster():
    assert read_cluster(worker(1, 3)) == Cluster(workers=3, index=1)
    both = {"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "worker", "index": 1}}
    assert read_cluster(json.dumps(both)) == Cluster(workers=3, index=2)


def test_no_tpu_is_one_line(capfd, monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    assert main(["train", "--strategy=tpu"]) == 2
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1 and "--strategy tpu needs a TPU" in error


def test_an_unknown_strategy_is_named():
    with pytest.raises(ValueError, match="`strategy` must be one of none, mirrored"):
        open_workers("horovod")
    assert open_workers("none").strategy is None


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--batch-size=3", ["--batch-size", "multiple of the 2 replicas", "--batch-size=3"]),
        ("--jit-compile", ["--jit-compile", "multi_worker"]),
        ("--precision=float16", ["--precision", "bfloat16"]),
    ],
)
def test_what_replicas_cannot_do_is_refused_before_they_meet(flag, words, monkeypatch, capfd):
    monkeypatch.setenv("TF_CONFIG", worker(1))
    assert main(["train", "--strategy=multi_worker", "--dry-run", "--batch-size=4", flag]) == 2
    error = capfd.readouterr().err
    assert len(error.splitlines()) == 1 and all(word in error for word in words), error


def test_a_dry_run_says_who_would_compute(monkeypatch, capfd):
    monkeypatch.setenv("TF_CONFIG", worker(1))
    assert main(["train", *FLAGS, "--strategy=multi_worker", "--dry-run"]) == 0
    output = capfd.readouterr().out
    assert "multi_worker, 2 replicas of 2 of a batch's 4 images each; process 1 of 2, which writes nothing" in output
    assert re.search(r"exchange +0\.\d MB of gradients", output)
    assert plan_workers("mirrored").describe(4) == "mirrored, 1 replica of 4 of a batch's 4 images each"
    assert "counted at the start" in plan_workers("tpu").describe(4)
