"""Reading files that tf.keras saved, by what they contain and without running any of it."""

import os
import re

import h5py
import tensorflow as tf
from google.protobuf.message import DecodeError

from tf_cyclegan.addons.checkpoints import read_checkpoint
from tf_cyclegan.addons.hdf5 import read_hdf5
from tf_cyclegan.addons.parts import part_name
from tf_cyclegan.addons.refusal import SAVE_AGAIN, Unreadable, refuse, shown

_HDF5 = b"\x89HDF\r\n\x1a\n"
_DAMAGED = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, DecodeError, tf.errors.OpError)


def read_addons_weights(path):
    """Reads the weights of CycleGANs that `tf.keras` saved, with tensorflow_addons' instance normalization.

    Optimizers and counters are left out. Nothing in the file is run.

    Args:
        path: str or path of an `.h5` file, of weights or a whole model, or of a TensorFlow checkpoint: its prefix or
            one of its two files.

    Returns:
        Dict of networks, each a dict of layers in their order, each a dict of weight names to arrays. The networks of
        the example of Keras, and others known by name, are called `"generator_ab"` (its `gen_G`), `"generator_ba"`
        (`gen_F`), `"discriminator_a"` (`disc_X`) and `"discriminator_b"` (`disc_Y`); others keep their name. A network
        that is alone in its file is called `"network"`.

    Raises:
        ValueError: if it is no such file, is cut short or damaged, or was normalized otherwise.
        OSError: if it cannot be opened.

    Example:
        >>> networks = read_addons_weights("generator.h5")  # doctest: +SKIP
        >>> networks["network"]["conv2d"]["kernel"].shape  # doctest: +SKIP
        (7, 7, 3, 64)
    """
    try:
        found = _read(os.path.expanduser(path))
        if not any(found.values()):
            refuse("weights", "none", SAVE_AGAIN)
        known = {part_name(name): layers for name, layers in found.items()}
        return known if len(known) == len(found) else found
    except Unreadable as error:
        kinds = "an .h5 file or TensorFlow checkpoint of a CycleGAN saved by tf.keras"
        raise ValueError(f"`path` must be {kinds}. Received: {os.fspath(path)!r}. {error}") from None


def _read(path):
    prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path)
    try:
        if os.path.exists(f"{prefix}.index"):
            return read_checkpoint(prefix)
        with open(path, "rb") as file:
            start = file.read(8)
        if start != _HDF5:
            _refuse_kind(start)
        with h5py.File(path, "r") as file:
            return read_hdf5(file, os.path.getsize(path))
    except (Unreadable, FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except _DAMAGED as error:
        refuse("a whole file", shown(str(error).split("\n")[0]))


def _refuse_kind(start):
    advice = SAVE_AGAIN
    if start.startswith(b"PK"):
        advice = "This is a zip file: `keras.models.load_model` loads a .keras file, `read_checkpoint` one of PyTorch."
    refuse("an HDF5 file, or a checkpoint with its .index file", shown(start), advice)
