"""The README and the pages in docs: their commands run, their flags exist, their links lead somewhere.

A fence says what a test does with it. Every `sh` and `python` fence runs, from the top of its page to the bottom, in a
folder with the data set `photos`, the image `photo.png` and the run `runs/photos`; `fit` is cut to one step. A fence of
`console` needs data, a network or minutes: its commands are parsed and do not run. The Python that asks a server on
localhost runs in `test_serving_grpc.py`.
"""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from tf_cyclegan.cli import main
from tf_cyclegan.settings import commands as kinds
from tf_cyclegan.settings.fields import names_of
from tf_cyclegan.settings.foreign_flags import PYTORCH_FLAGS
from tf_cyclegan.settings.parsing import parsed, parsed_train
from tf_cyclegan.settings.train import TRAIN_NAMES

pytestmark = pytest.mark.eager

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]
KINDS = {
    command: getattr(kinds, f"{command.capitalize()}Settings")
    for command in ("translate", "evaluate", "export", "convert", "serve")
}
LANGUAGES = {"sh", "python", "console", "js", "text"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def name(path):
    return path.relative_to(ROOT).as_posix()


def fences(page, *languages):
    return [text for language, text in FENCE.findall(page.read_text()) if language in languages]


def prose(page):
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(text):
    """The commands of a block, each a list of words."""
    parts = [part for line in text.replace("\\\n", " ").splitlines() for part in line.split(" && ")]
    return list(filter(None, (shlex.split(part, comments=True) for part in parts)))


def ours(words):
    """A command of this package and its flags, or None for another program's."""
    program, *rest = [word.removeprefix(".venv/bin/") for word in words]
    if program == "tf-cyclegan":
        return rest
    return ["train", *rest[1:]] if program == "python" and rest[:1] == ["examples/train.py"] else None


# The run that the other pages are about.
TRAINING = fences(ROOT / "docs" / "train.md", "sh")[0]


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---- what is shown runs ----


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with a data set and an image."""
    folder = tmp_path_factory.mktemp("documents")
    noise = np.random.RandomState(0)
    folders = [folder / "photos" / domain for domain in ("trainA", "trainB", "testA", "testB")]
    for path in [folder / "photo.png", *(part / f"{i}.png" for part in folders for i in range(2))]:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.randint(0, 256, (40, 48, 3), np.uint8)).save(path)
    return folder


def run(text):
    for words in commands(text):
        command = ours(words)
        assert command is not None, f"another program than this package's is for `console`: {words}"
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            code = main(command)
        assert code == 0, f"{shlex.join(words)}\n{told.getvalue()}"


@pytest.mark.parametrize("page", [page for page in PAGES if fences(page, "sh", "python")], ids=name)
def test_what_a_page_shows_runs(page, prepared, tmp_path, monkeypatch):
    of_run = any("runs/photos" in text for text in fences(page, "sh"))
    if of_run and not (prepared / "runs").exists():
        monkeypatch.chdir(prepared)
        run(TRAINING)
    shutil.copytree(prepared, tmp_path, ignore=None if of_run else lambda *_: ["runs"], dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    fit, names = keras.Model.fit, {}
    cut = {"epochs": 1, "steps_per_epoch": 1, "validation_steps": 1}
    for language, text in FENCE.findall(page.read_text()):
        if language == "sh":
            run(text)
        elif language == "python" and "localhost" not in text:
            with monkeypatch.context() as patch:
                patch.setattr(keras.Model, "fit", lambda *a, **k: fit(*a, **{**k, **cut}))
                exec(text, names)


# ---- what is shown can be typed ----


def read(command, *flags):
    if command == "train":
        parsed_train(flags).resolved()
    elif command != "--version":
        parsed(KINDS[command], flags, command)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_of_all_commands_are_read(page):
    assert {language for language, _ in FENCE.findall(page.read_text())} <= LANGUAGES
    shown = [ours(words) for text in fences(page, "sh", "console") for words in commands(text)]
    spans = [ours(shlex.split(span)) for span in re.findall(r"`(tf-cyclegan [a-z]+ [^`]*)`", prose(page))]
    for command in filter(None, shown + spans):
        if not {"...", "--help"} & set(command) and not re.search(r"\b[A-Z]{4}", " ".join(command)):
            read(*command)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_flag_exists(page):
    settings = {*TRAIN_NAMES, *(field for kind in KINDS.values() for field in names_of(kind))}
    known = {f"--{field.replace('_', '-')}" for field in settings} | {"--help", "--debug", "--version", *PYTORCH_FLAGS}
    programs = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    spans = re.findall(r"`([^`]*)`", prose(page))
    spans += [
        shlex.join(words) for text in fences(page, "console") for words in commands(text) if "benchmarks/" in str(words)
    ]
    unknown = [
        flag
        for span in spans
        for flag in re.findall(r"(?<!\S)--[a-zA-Z][\w-]*", span)
        if flag not in known and flag.replace("--no-", "--") not in known
        if not ("benchmarks/" in span and f'"{flag}"' in programs)
    ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_programs_and_extras_exist(page):
    text = page.read_text()
    for program in re.findall(r"\b((?:benchmarks|examples|tests)/\w+\.py)", text):
        assert (ROOT / program).is_file(), program
    extras = re.findall(r"^(\w+) =$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
    assert set(re.findall(r'install (?:-e )?"\.\[(\w+)\]"', text)) <= set(extras)


# ---- links, and the rules of the README ----


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_links_lead_somewhere(page):
    missing = []
    for link in re.findall(r"\]\(([^()\s]+)\)", prose(page)):
        path, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or anchor and anchor not in anchors(target):
            missing.append(link)
    assert missing == []


def test_the_readme_is_short_and_names_every_page():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 150
    assert [name(page) for page in PAGES[1:] if f"]({name(page)})" not in readme] == []


def test_the_map_of_the_modules_is_that_of_today():
    done = subprocess.run([sys.executable, ROOT / ".ci" / "map", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
