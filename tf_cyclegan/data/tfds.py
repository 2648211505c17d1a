"""The CycleGAN data sets of TensorFlow Datasets: downloaded once, then read as encoded files."""

import contextlib
import functools
import logging
import os
import pathlib
import shutil
import tempfile

import filelock

from tf_cyclegan.settings.checks import one_line

_logger = logging.getLogger(__name__)
ADDRESS = "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets"
NAMES = tuple(
    f"cycle_gan/{name}"
    for name in (
        "apple2orange",
        "summer2winter_yosemite",
        "horse2zebra",
        "monet2photo",
        "cezanne2photo",
        "ukiyoe2photo",
        "vangogh2photo",
        "maps",
        "facades",
        "iphone2dslr_flower",
    )
)
Domain = tuple[list[str], list[bytes]]


def find(
    name: str, split: str, data_dir: str | os.PathLike | None = None, mirror: str | None = None
) -> tuple[Domain, Domain]:
    """Reads a split, after downloading and preparing the data set if that has not been done.

    Args:
        name: one of `NAMES`.
        split: `"train"` or `"test"`.
        data_dir: where TFDS keeps its data. Defaults to TFDS's own, `~/tensorflow_datasets`.
        mirror: address of a folder with the file `NAME.zip`, used instead of the authors'. Defaults to `None`.

    Returns:
        `((names_a, files_a), (names_b, files_b))`; the files are encoded images. TFDS does not store the file names:
        the names are its ids, such as `cycle_gan-testA.tfrecord-00000-of-00001__7`.

    Raises:
        ValueError: if the data set cannot be downloaded.
    """
    import tensorflow_datasets

    data_dir = None if data_dir is None else os.path.expanduser(data_dir)
    new_builder = functools.partial(tensorflow_datasets.builder, name, data_dir=data_dir)
    builder = new_builder()
    if not builder.is_prepared():
        _prepare(builder, mirror)
        builder = new_builder()  # which knows what is there, whoever has prepared it
    return tuple(_read(builder, split + domain) for domain in "AB")


def _read(builder, split):
    import tensorflow_datasets

    examples = tensorflow_datasets.as_numpy(
        builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tensorflow_datasets.decode.SkipDecoding()},
            read_config=tensorflow_datasets.ReadConfig(add_tfds_id=True, try_autocache=False),
        )
    )
    names, files = [], []
    for example in examples:
        names.append(example["tfds_id"].decode())
        files.append(example["image"])
    return names, files


def _prepare(builder, mirror):
    """Downloads and prepares a data set; removes what a failure leaves behind."""
    target = pathlib.Path(builder.data_dir)
    root = target.parents[2]  # of root/cycle_gan/NAME/VERSION
    created = _missing_folders(target)
    try:
        os.makedirs(root, exist_ok=True)
        with _alone(root):
            if not builder.is_prepared():
                _download(builder, mirror, root)
    except BaseException as error:
        _clean(created)
        # TFDS raises errors of many libraries. An interrupt and a missing package are raised as they are.
        if isinstance(error, Exception) and not isinstance(error, ImportError):
            raise ValueError(_advice(builder, mirror, error)) from error
        raise


@contextlib.contextmanager
def _alone(root):
    """Lets one process at a time download, on all machines; the system releases the lock of a killed process."""
    lock = filelock.FileLock(root / ".download.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        _logger.warning("Another process is downloading to %s: this one waits for it.", root)
        lock.acquire()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes it itself
            os.unlink(lock.lock_file)
        lock.release()


def _download(builder, mirror, root):
    import tensorflow_datasets

    for killed in root.glob(".download-*"):
        shutil.rmtree(killed, ignore_errors=True)
    # Downloads lie on the disk of the data and are removed in any case: the prepared files hold everything.
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as downloads:
        if mirror:
            _redirect(builder, mirror)
        config = tensorflow_datasets.download.DownloadConfig(try_download_gcs=False)
        builder.download_and_prepare(download_dir=downloads, download_config=config)


def _redirect(builder, mirror):
    """Makes this one builder fetch its zip file from the mirror."""
    split_generators = builder._split_generators

    class Mirrored:
        def __init__(self, manager):
            self._manager = manager

        def download_and_extract(self, url):
            return self._manager.download_and_extract(f"{mirror.rstrip('/')}/{url.rpartition('/')[2]}")

        def __getattr__(self, name):
            return getattr(self._manager, name)

    def redirected(dl_manager):
        return split_generators(Mirrored(dl_manager))

    builder._split_generators = redirected


def _missing_folders(path):
    """The folders up to `path` that do not exist yet, the deepest first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _clean(created):
    """Removes the new folders that hold nothing. (TFDS itself removes what it has half prepared.)"""
    for folder in created:
        if folder.is_dir() and all(entry.name == ".config" for entry in folder.iterdir()):
            shutil.rmtree(folder)


def _advice(builder, mirror, error):
    short = builder.builder_config.name
    reason = one_line(error)[:300]
    return (
        f"The data set cycle_gan/{short} could not be downloaded from {mirror or ADDRESS}: {reason}. Download "
        f"{ADDRESS}/{short}.zip (or the same file from elsewhere) by hand, unpack it and give the unpacked folder as "
        "`name`; or give as `mirror` the address of a folder that has "
        f"{short}.zip."
    )
