#!/usr/bin/env python3
# %% [markdown]
# # From two folders of images to a served model
#
# Two folders hold images of two kinds, A and B, as photographs of summer and of winter. No image needs a partner.
# CycleGAN learns to turn each kind into the other. This page trains a model, looks at it, measures it and serves it.
#
# VS Code runs the cells of this file one by one. `jupytext --to notebook tutorial.py` makes a notebook of it.
# `python tutorial.py --data-a=summer --data-b=winter` runs it whole.

# %%
import dataclasses
import pathlib
import subprocess
import sys

import keras
import numpy as np
import tyro
from PIL import Image

from tf_cyclegan import CycleGAN, load_dataset, metrics, plot_history, show
from tf_cyclegan.callbacks import Health, SampleGrid
from tf_cyclegan.export import export_saved_model
from tf_cyclegan.serving import Client

# %% [markdown]
# ## Settings
#
# In a notebook, change the settings here. For the script they are flags.


# %%
@dataclasses.dataclass
class Settings:
    """Trains CycleGAN on two folders of images, measures the model and serves it."""

    data_a: pathlib.Path | None = None  # folder of images of kind A; without it, bundled drawings
    data_b: pathlib.Path | None = None  # folder of images of kind B
    drawings: int = 240  # how many bundled drawings of each kind are written
    image_size: int = 64  # side of the images in training, in pixels
    filters: int = 24  # filters of a generator's first convolution
    epochs: int = 15  # how often each image is seen
    output_dir: pathlib.Path = pathlib.Path("tutorial")  # folder for pictures and models


settings = Settings() if "ipykernel" in sys.modules else tyro.cli(Settings)
output = settings.output_dir
output.mkdir(parents=True, exist_ok=True)


def save_image(image, path):
    """Writes an image in [-1, 1] as a file of 8 bits."""
    Image.fromarray(np.uint8(np.rint((image + 1) * 127.5))).save(path)


def saved(figure, name, title=None):
    """Writes a figure to a file, and returns it for the notebook to show."""
    figure.suptitle(title)
    figure.savefig(output / f"{name}.png")
    return figure


# %% [markdown]
# ## Images
#
# Without folders of your own, bundled emoji are written as PNG files: flat drawings to one folder, shaded drawings of
# other emoji to the other.

# %%
folders = [settings.data_a, settings.data_b]
if folders == [None, None]:
    folders = [output / "flat", output / "shaded"]
    drawings = next(iter(load_dataset("emoji", batch_size=settings.drawings, flip=False)))
    for folder, images in zip(folders, drawings, strict=True):
        folder.mkdir(exist_ok=True)
        for number, image in enumerate(images):
            save_image(image, folder / f"{number:03}.png")

# %% [markdown]
# A tenth of the files is kept apart for the test. Images become float32 in [-1, 1], and are flipped at random in
# training. For photographs leave `load_size` out: they are then enlarged a little and cropped at random, too.

# %%
size = settings.image_size
data = {"data_a": folders[0], "data_b": folders[1], "image_size": size, "load_size": size, "batch_size": 4}
train = load_dataset(split="train", **data)
test = load_dataset(split="test", **data)

# %% [markdown]
# Look at a batch before you train.

# %%
saved(show(list(next(iter(train)))), "batch", "above: A, below: B")

# %% [markdown]
# ## The model
#
# These settings suit small drawings. The generators are U-Nets, whose bridges carry fine lines across. The
# discriminators judge small patches. The learning rate is twice the usual, as the training is short. For photographs,
# `CycleGAN(image_shape=(256, 256, 3))` has the networks of the paper, and `compile()` its optimizers.

# %%
model = CycleGAN(
    image_shape=(size, size, 3),
    filters=settings.filters,
    generator_type="unet",
    downsamplings=4,
    full_size_skip=True,
    upsampling="resize",
    discriminator_filters=2 * settings.filters,
    discriminator_layers=2,
)
model.compile(model.new_optimizer(4e-4), model.new_optimizer(4e-4))

# %% [markdown]
# ## Training
#
# `SampleGrid` writes a picture after each epoch: A, translated to B and back; B, translated to A and back. `Health`
# warns when the training fails in a known way.

# %%
images_a, images_b = next(iter(test.as_numpy_iterator()))
callbacks = [SampleGrid(images_a, images_b, output / "samples"), Health(images_a, images_b)]
history = model.fit(train, epochs=settings.epochs, callbacks=callbacks, verbose=2)

# %%
saved(plot_history(history), "history")

# %% [markdown]
# ## Translations
#
# The model has seen none of these images. After 15 epochs of drawings, a few minutes on two CPU cores, shading begins.
# More epochs give more of it.

# %%
to_b, to_a = model.translate(images_a, "ab"), model.translate(images_b, "ba")
saved(show([images_a, to_b, model.translate(to_b, "ba")]), "translated_ab", "A, translated to B, and back")

# %%
saved(show([images_b, to_a, model.translate(to_a, "ab")]), "translated_ba", "B, translated to A, and back")

# %% [markdown]
# ## A measure
#
# Nobody knows the right translation of your images. But an image that is translated there and back should be itself
# again. The cycle error is the mean absolute difference, in the units of [-1, 1]. `tf-cyclegan evaluate` has more
# measures, as FID and KID.

# %%
for domain, direction in enumerate(("ab", "ba")):
    error = metrics.cycle_error(model, (batch[domain] for batch in test), direction)
    print(f"cycle error of {direction}: {error:.3f}")

# %% [markdown]
# ## Saving and loading
#
# The file holds the networks, the optimizers and all else that `fit` needs to go on as if it had never stopped.

# %%
model.save(output / "model.keras")
model = keras.models.load_model(output / "model.keras")

# %% [markdown]
# ## Export
#
# A generator becomes a SavedModel, which TensorFlow Serving runs. It takes the bytes of an image file and gives a PNG
# file.

# %%
export_saved_model(model.generator("ab"), output / "exported" / "tutorial_ab")

# %% [markdown]
# ## Serving
#
# `tf-cyclegan serve tutorial/exported` serves it by REST, with a page for the browser. This cell starts the server on a
# free port, sends it an image and ends it. `Client` asks TensorFlow Serving in the same way.

# %%
save_image(images_a[0], output / "asked.png")
command = [sys.executable, "-m", "tf_cyclegan", "serve", str(output / "exported"), "--port=0"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
    try:
        url = next(line.split()[-1] for line in server.stdout if "http://" in line)
        (output / "answered.png").write_bytes(Client(url).translate(output / "asked.png", "tutorial_ab"))
    finally:
        server.terminate()

# %%
pair = [np.asarray(Image.open(output / name)) for name in ("asked.png", "answered.png")]
saved(show(np.stack(pair)), "served", "sent, and answered by the server")
