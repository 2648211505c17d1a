"""The command `convert`: weight files to models and back, and what takes them directly."""

from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import TESTS, command_settings, golden, random_images

from tf_cyclegan import UNIT, CycleGAN, Pix2Pix, Pix2PixHD, networks
from tf_cyclegan.cli import main
from tf_cyclegan.models import MODELS, PretrainedGenerator
from tf_cyclegan.pytorch import read_checkpoint, to_state_dict, write_checkpoint
from tf_cyclegan.settings.commands import ConvertSettings
from tf_cyclegan.weights.addons import addons_networks
from tf_cyclegan.weights.convert import run_convert
from tf_cyclegan.weights.import_model import import_model
from tf_cyclegan.weights.weight_files import role_of

SMALL = {"image_shape": (32, 32, 3), "filters": 4, "residual_blocks": 1, "pool_size": 0, "discriminator_filters": 4}
OFFICIAL = {"generator_ab": "G_A", "generator_ba": "G_B", "discriminator_b": "D_A", "discriminator_a": "D_B"}
# PyTorch-GAN's files, whose D_A judges domain A.
COLLECTION = {
    "generator_ab": "G_AB_7.pth",
    "generator_ba": "G_BA_7.pth",
    "discriminator_a": "D_A_7.pth",
    "discriminator_b": "D_B_7.pth",
}


def convert(files, output, **settings):
    lines = []
    code = run_convert(command_settings(ConvertSettings, files=tuple(files), output=output, **settings), lines.append)
    assert code == 0
    return "\n".join(lines)


def write(folder, model, names):
    paths = [folder / name for name in names.values()]
    for path, role in zip(paths, names, strict=True):
        write_checkpoint(path, to_state_dict(getattr(model, role)))
    return paths


def same_weights(ours, theirs):
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=b.path)


@pytest.fixture(scope="module")
def cyclegan():
    """Networks to write files of, which no test changes."""
    keras.utils.set_random_seed(0)
    return CycleGAN(**SMALL, channels_b=1, lambda_identity=0)


@pytest.mark.parametrize("names", [{role: f"latest_net_{name}.pth" for role, name in OFFICIAL.items()}, COLLECTION])
def test_four_files_make_a_cyclegan_that_trains_on(tmp_path, cyclegan, names):
    paths = write(tmp_path, cyclegan, names)
    text = convert(reversed(paths), tmp_path / "model.keras", image_size=32)
    model = keras.models.load_model(tmp_path / "model.keras")
    for role in OFFICIAL:
        same_weights(getattr(model, role), getattr(cyclegan, role))
    assert model.pool_size == 50 and "not trained" not in text
    model.compile()
    losses = model.train_on_batch(random_images(1, 32), random_images(1, 32, channels=1), return_dict=True)
    assert all(np.isfinite(value) for value in losses.values())


def test_generators_alone_say_what_is_new(tmp_path, cyclegan):
    paths = write(tmp_path, cyclegan, {role: f"{n}.pth" for role, n in {"generator_ab": 1, "generator_ba": 2}.items()})
    text = convert(paths, tmp_path / "model.keras")
    assert "discriminator_a: new, not trained" in text and "CycleGAN" in text
    model = keras.models.load_model(tmp_path / "model.keras")
    same_weights(model.generator_ab, cyclegan.generator_ab)  # in the order of the files
    assert model.pool_size == 0


def test_networks_unlike_each_other_stay_what_they_are(tmp_path):
    made = {
        "generator_ab": networks.resnet_generator(filters=4, residual_blocks=1),
        "generator_ba": networks.resnet_generator(filters=6, residual_blocks=2, dropout=0.5),
        "discriminator_b": networks.pixel_discriminator(filters=4),
    }
    for role, network in made.items():
        write_checkpoint(tmp_path / f"{role}.safetensors", to_state_dict(network))
    convert(sorted(tmp_path.iterdir()), tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    for role, network in made.items():
        same_weights(getattr(model, role), network)


@pytest.mark.parametrize("generator", [{"generator_type": "unet", "downsamplings": 3}, {"downsamplings": 1}])
def test_other_generators_of_a_cyclegan_there_and_back(tmp_path, generator):
    model = CycleGAN(**SMALL, **generator)
    paths = write(tmp_path, model, {role: f"latest_net_{name}.pth" for role, name in OFFICIAL.items()})
    convert(paths, tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (again.generator_type, again.downsamplings) == (model.generator_type, model.downsamplings)
    for role in OFFICIAL:
        same_weights(getattr(again, role), getattr(model, role))
    convert([tmp_path / "model.keras"], tmp_path / "back")
    for path in paths:
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()


def test_one_generator_translates_and_is_handed_back(tmp_path, cyclegan):
    (path,) = write(tmp_path, cyclegan, {"generator_ba": "300_net_G_B.pth"})
    convert([path], tmp_path / "one.keras")
    model = keras.models.load_model(tmp_path / "one.keras")
    assert isinstance(model, PretrainedGenerator) and model.directions == ("ba",)
    images = random_images(1, 30, 34, channels=1)
    np.testing.assert_array_equal(model.translate(images, "ba"), cyclegan.translate(images, "ba"))
    with pytest.raises(ValueError, match="cannot be trained"):
        model.compile()
    convert([tmp_path / "one.keras"], tmp_path / "back.pth")
    assert (tmp_path / "back.pth").read_bytes() == path.read_bytes()


def test_the_way_back_writes_the_files_that_it_came_from(tmp_path, cyclegan):
    names = {role: f"latest_net_{name}.pth" for role, name in OFFICIAL.items()}
    paths = write(tmp_path, cyclegan, names)
    convert(paths, tmp_path / "model.keras")
    convert([tmp_path / "model.keras"], tmp_path / "back")
    for path in paths:
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
    convert([tmp_path / "model.keras"], tmp_path / "back", format="safetensors")
    assert sorted(read_checkpoint(tmp_path / "back/latest_net_D_B.safetensors")) == sorted(read_checkpoint(paths[-1]))


@pytest.mark.parametrize("variant", ["v1.1", "paper"])
def test_unit_there_and_back(tmp_path, variant):
    model = UNIT(**{**SMALL, "image_shape": (64, 64, 3)}, variant=variant)
    model.save(tmp_path / "unit.keras")
    convert([tmp_path / "unit.keras"], tmp_path / "files")
    files = sorted((tmp_path / "files").iterdir())
    assert len(files) == (2 if variant == "v1.1" else 6)
    convert(files, tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    assert again.variant == variant
    for role in ("encoder_a", "encoder_b", "decoder_a", "decoder_b", "discriminator_a", "discriminator_b"):
        same_weights(getattr(again, role), getattr(model, role))


def test_pix2pix_is_told_by_its_discriminator_of_pairs(tmp_path):
    model = Pix2Pix((32, 32, 3), filters=4, discriminator_filters=4, channels_b=1)
    model.save(tmp_path / "model.keras")
    convert([tmp_path / "model.keras"], tmp_path / "files")
    text = convert(sorted((tmp_path / "files").iterdir()), tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    assert isinstance(again, Pix2Pix) and again.inference_statistics == "moving" and "Pix2Pix" in text
    same_weights(again.generator_network, model.generator_network)
    same_weights(again.discriminator_network, model.discriminator_network)
    convert([tmp_path / "files/latest_net_G.pth"], tmp_path / "image.keras", inference_statistics="image")
    image = keras.models.load_model(tmp_path / "image.keras")
    question = random_images(1, 32)
    np.testing.assert_allclose(image.translate(question), model.translate(question), atol=1e-6)


def test_a_generator_whose_name_tells_its_direction_makes_a_pix2pix(tmp_path):
    model = Pix2Pix((32, 32, 3), filters=4, discriminator_filters=4, direction="ba")
    names = {"generator_network": "generator_ba.pth", "discriminator_network": "latest_net_D.pth"}
    text = convert(write(tmp_path, model, names), tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.direction == "ba" and "not trained" not in text and "left out" not in text
    for name in names:
        same_weights(getattr(again, name), getattr(model, name))


def test_a_model_that_is_added_says_itself_what_it_is_made_of(tmp_path, cyclegan, monkeypatch):
    class Added(PretrainedGenerator):
        @classmethod
        def settings_of(cls, found):
            return super().settings_of(found) | {"direction": "ba"} if found.label_classes else None

    monkeypatch.setitem(MODELS, "added", Added)
    (path,) = write(tmp_path, cyclegan, {"generator_ab": "x.pth"})
    monkeypatch.delitem(MODELS, "pix2pixhd")  # which would take it
    model, pairs = import_model([path], label_classes=2)
    assert type(model) is Added and model.directions == ("ba",)
    same_weights(model.generator("ba"), cyclegan.generator_ab)
    assert list(pairs) == ["generator"] and list(model.weight_files()) == ["generator"]


def test_pix2pixhd_of_label_maps(tmp_path):
    model = Pix2PixHD(
        (32, 32, 2),
        label_classes=3,
        instance_edges=True,
        instance_features=2,
        filters=4,
        downsamplings=2,
        residual_blocks=1,
        discriminator_filters=4,
        lambda_perceptual=0,
    )
    model.save(tmp_path / "model.keras")
    convert([tmp_path / "model.keras"], tmp_path / "files")
    convert(sorted((tmp_path / "files").iterdir()), tmp_path / "again.keras", label_classes=3)
    again = keras.models.load_model(tmp_path / "again.keras")
    assert again.instance_edges and again.instance_features == 2 and again.label_classes == 3
    for name in ("generator_network", "discriminator_network", "encoder_network"):
        same_weights(getattr(again, name), getattr(model, name))


def test_a_golden_file_translates_as_it_computes(tmp_path):
    arrays, state = golden("resnet_9blocks_instance")
    write_checkpoint(tmp_path / "latest_net_G.pth", state)
    image = np.round((arrays["input"][:1].transpose(0, 2, 3, 1).clip(-1, 1) + 1) * 127.5) / 127.5 - 1
    np.save(tmp_path / "image.npy", image[0].astype("float32"))
    files = [str(tmp_path / name) for name in ("latest_net_G.pth", "image.npy", "out.npy")]
    assert main(["translate", files[0], files[1], "-o", files[2]]) == 0
    convert([tmp_path / "latest_net_G.pth"], tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    # The command runs a graph, in which oneDNN, where TensorFlow takes it, joins layers and sums in another order.
    np.testing.assert_allclose(np.load(files[2]), model.translate(image)[0], atol=2e-5)
    np.testing.assert_allclose(
        model.translate(arrays["input"].transpose(0, 2, 3, 1)), arrays["output"].transpose(0, 2, 3, 1), atol=1e-4
    )


@pytest.mark.parametrize(
    "names, settings, told",
    [
        (["latest_net_D_A.pth"], {}, "must hold a generator"),
        (["x.pth", "first.pth"], {}, "`roles` must say which network"),
        (["x.pth"], {"roles": ("discriminator_a",)}, "`roles` must fit"),
        (["x.pth"], {"roles": ("generator_ab", "generator_ba")}, "`roles` must be as many"),
        (["latest_net_G_A.pth", "G_AB_1.pth"], {}, "`roles` must differ"),
        (["x.pth"], {"padding": "replicate", "output": "x.pth"}, "`output` must end in .keras"),
        (["x.pth"], {"roles": ("generator_xy",)}, "`roles` must be one of"),
        (["x.pth", "x.pth"], {}, "one twice"),
        (["gen_1.pt"], {"padding": "zero", "roles": ()}, "`padding` has no use"),
        (["nan.pth"], {}, "NaN or infinity at 'model.1.bias'"),
        ([], {}, "`files` must be weight files"),
        (["x.pth"], {"output": "taken.keras"}, "`output` exists"),
        (["x.pth", "taken.keras"], {}, "`files` must be weight files"),
        (["gen_1.pt"], {}, "Missing: decoder_b, encoder_b"),
    ],
)
def test_what_makes_no_model_is_named(tmp_path, cyclegan, names, settings, told):
    files = {
        "generator_ab": ["latest_net_G_A.pth", "G_AB_1.pth", "x.pth"],
        "discriminator_b": ["latest_net_D_A.pth", "first.pth"],
    }
    for role, copies in files.items():
        for name in copies:
            write_checkpoint(tmp_path / name, to_state_dict(getattr(cyclegan, role)))
    write_checkpoint(tmp_path / "gen_1.pt", {"a": golden("unit_v11_vae_generator")[1]})
    state = to_state_dict(cyclegan.generator_ab)
    write_checkpoint(tmp_path / "nan.pth", {**state, "model.1.bias": state["model.1.bias"] + np.nan})
    (tmp_path / "taken.keras").write_bytes(b"kept")
    output = tmp_path / settings.pop("output", "new.keras")
    with pytest.raises(ValueError) as error:
        convert([tmp_path / name for name in names], output, **settings)
    assert told in str(error.value) and "\n" not in str(error.value)
    assert (tmp_path / "taken.keras").read_bytes() == b"kept" and not (tmp_path / "new.keras").exists()


@pytest.mark.parametrize(
    "name, role",
    [
        ("latest_net_G_A.pth", "generator_ab"),
        ("5_net_D_A.pth", "discriminator_b"),
        ("D_A_12.pth", "discriminator_a"),
        ("D_A.pth", None),
        ("netD_A.pth", "discriminator_a"),
        ("netG_A2B.pth", "generator_ab"),
        ("G_A.pth", "generator_ab"),
        ("G_BA_0.pth", "generator_ba"),
        ("latest_net_E.pth", "encoder"),
        ("E1_3.pth", "encoder_a"),
        ("horse_generator_ba.safetensors", "generator_ba"),
        ("latest_net_G_B", "generator_ba"),
        ("magnet_Guess.pth", None),
        ("model.pth", None),
    ],
)
def test_names_of_files(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize(
    "names",
    [
        {"generator_ab": "G_A", "generator_ba": "G_B", "discriminator_b": "D_A", "discriminator_a": "D_B"},
        {"generator_ab": "netG_A2B", "generator_ba": "netG_B2A", "discriminator_a": "netD_A"},
        {role: role for role in OFFICIAL},
    ],
)
def test_networks_of_one_file_by_their_names(tmp_path, cyclegan, names):
    nested = {name: to_state_dict(getattr(cyclegan, role)) for role, name in names.items()}
    write_checkpoint(tmp_path / "all.pth", nested)
    convert([tmp_path / "all.pth"], tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    for role in names:
        same_weights(getattr(model, role), getattr(cyclegan, role))


def test_a_failed_write_keeps_what_was_there(tmp_path, cyclegan, monkeypatch):
    (path,) = write(tmp_path, cyclegan, {"generator_ab": "x.pth"})
    (tmp_path / "model.keras").write_bytes(b"kept")
    with pytest.raises(ZeroDivisionError):
        monkeypatch.setattr(PretrainedGenerator, "save", _fails)
        convert([path], tmp_path / "model.keras", overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.keras", "x.pth"]
    assert (tmp_path / "model.keras").read_bytes() == b"kept"


def _fails(model, path):
    Path(path).write_bytes(b"half")
    raise ZeroDivisionError


def test_unit_halves_of_a_golden_file(tmp_path):
    arrays, state = golden("unit_v11_vae_generator")
    write_checkpoint(tmp_path / "gen_00000001.pt", {"a": state, "b": state})
    convert([tmp_path / "gen_00000001.pt"], tmp_path / "unit.keras")
    model = keras.models.load_model(tmp_path / "unit.keras")
    images = arrays["input"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(model.translate(images, "ba"), arrays["output_mean"].transpose(0, 2, 3, 1), atol=1e-4)


def test_what_was_written_is_read_again_and_compared(tmp_path, monkeypatch):
    network = networks.resnet_generator(filters=4, residual_blocks=1)
    write_checkpoint(tmp_path / "x.pth", to_state_dict(network))
    CycleGAN(**SMALL).save(tmp_path / "two.keras")
    texts = [convert([tmp_path / "x.pth"], tmp_path / "one.keras")]
    for files, output, format in (("one.keras", "back.pth", "pth"), ("two.keras", "folder", "pretrained")):
        texts.append(convert([tmp_path / files], tmp_path / output, format=format))
    closing = [text.splitlines()[-1] for text in texts]
    assert all(line.startswith("Read again: ") and line.endswith(" values are equal.") for line in closing)
    assert f"all {sum(value.size for value in to_state_dict(network).values()):,} values" in closing[1]

    def damaged(path):
        state = read_checkpoint(path)
        return state | {"model.1.bias": np.nextafter(state["model.1.bias"], 1)}

    monkeypatch.setattr("tf_cyclegan.weights.convert.read_checkpoint", damaged)
    lines = []
    config = command_settings(ConvertSettings, files=(tmp_path / "one.keras",), output=tmp_path / "damaged.pth")
    assert run_convert(config, lines.append) == 1
    assert lines[-1].startswith("Read again, 1 of ") and "damaged.pth: model.1.bias" in lines[-1]


ADDONS = TESTS / "data" / "addons"


@pytest.mark.parametrize("file", ["cyclegan", "cyclegan.index", "cyclegan.h5", "generator.h5"])
def test_models_of_tensorflow_addons_become_models_here(tmp_path, file):
    text = convert([ADDONS / file], tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    images = random_images(1)
    expected = addons_networks(ADDONS / file)["generator_ab"]
    np.testing.assert_array_equal(model.translate(images), expected(images))
    assert isinstance(model, PretrainedGenerator if file.endswith(".h5") else CycleGAN)
    assert "PyTorch" not in text
    if isinstance(model, CycleGAN):
        assert model.convolution_padding == "same" and model.normalization == "affine_instance"
        with pytest.raises(ValueError, match="that PyTorch's implementations have"):
            convert([tmp_path / "model.keras"], tmp_path / "back")
        assert not (tmp_path / "back").exists()
