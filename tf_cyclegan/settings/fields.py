"""How a setting is declared: its default, its help, and its rules for networks and resumed runs.

The text of a setting is the string below it. `--help` shows it, and `documented` puts it into the docstring of a model.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import re
import sys
import textwrap
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import tyro

# A resumed run refuses another value (fixed), refuses it if it leads to other images (place), takes it with a message
# (taken) or without a message (free). Settings of the model are compared with the settings of the saved model.
FIXED, PLACE, TAKEN, FREE, OF_MODEL = "fixed", "place", "taken", "free", "of the model"
# Another value makes networks with other weights (shape), or other networks that take the same weights (use).
SHAPE, USE = "shape", "use"
UNSAID = object()
_METAVARS = {int: "INT", float: "FLOAT", bool: "{True,False}"}


class Facts(NamedTuple):
    """The facts about a setting, in the metadata of its field; see `setting` and `derived`."""

    default: Any = None
    resume: str = OF_MODEL
    networks: str | None = None
    metavar: str | None = None
    shown: str | None = None
    small: Any = UNSAID
    emoji: Any = UNSAID
    derived: bool = False
    kind: Any = None
    text: str = ""

    @property
    def is_switch(self):
        """Whether the flags of the setting are `--flag` and `--no-flag`."""
        return self.kind is bool and not self.derived

    def value(self, emoji=False, small=False):
        """The default, which may differ for the bundled data and for images below 256 pixels."""
        value = self.small if small and self.small is not UNSAID else self.default
        return self.emoji if emoji and self.emoji is not UNSAID else value


def setting(default, *, resume=OF_MODEL, metavar=None):
    """A setting with one default.

    Args:
        default: the value.
        resume: how a resumed run treats another value, one of the five constants. Defaults to `OF_MODEL`.
        metavar: optional str, the name of the value in the help.
    """
    return Facts(default, resume, metavar=metavar)


def derived(default=None, *, small=UNSAID, emoji=UNSAID, shown=None, metavar=None, networks=None, resume=OF_MODEL):
    """A setting that is None if nobody gives it, as its default depends on the model and the data.

    Args:
        default: the default; None leaves it to the model.
        small: the default for images below 256 pixels. Defaults to `default`.
        emoji: the default for the bundled data. Defaults to `default`.
        shown: optional str, the default in the help, to which the help adds `emoji` unless `shown` mentions it.
            Defaults to a text from the three values.
        metavar: optional str, the name of the value in the help. Defaults to a name from the type.
        networks: `SHAPE` or `USE` for settings that describe the networks. Defaults to None.
        resume: as in `setting`.
    """
    return Facts(default, resume, networks, metavar, shown, small, emoji, derived=True)


def otherwise(**changes):
    """Other defaults or another text for a setting of a base class: `filters = otherwise(emoji=32)`."""
    return changes


def settings(cls):
    """Class decorator that makes a frozen dataclass of annotations with `setting`, `derived` or a plain default."""
    inherited = {}
    for base in filter(dataclasses.is_dataclass, reversed(cls.__mro__[1:])):
        inherited |= facts_of(base)
    texts = {name: facts.text for name, facts in inherited.items()} | _texts_in(cls.__module__).get(cls.__name__, {})
    kinds = inspect.get_annotations(cls)
    declared = {name: facts._replace(kind=kinds[name]) for name, facts in vars(cls).items() if isinstance(facts, Facts)}
    for name in inherited.keys() & vars(cls).keys():
        declared[name] = inherited[name]._replace(**{"shown": None} | vars(cls)[name])
    for name, facts in declared.items():
        facts = facts._replace(text=texts.get(name, ""))
        kinds[name] = _for_flags(facts)
        default = None if facts.derived else facts.default
        setattr(cls, name, dataclasses.field(default=default, metadata={"facts": facts}))
    for name in kinds.keys() & texts.keys():
        kinds[name] = Annotated[kinds[name], tyro.conf.arg(help=texts[name])]
    cls.__annotations__ = kinds
    return dataclasses.dataclass(frozen=True)(cls)


@functools.cache
def _texts_in(module):
    """Dict of class names in a module to dicts of settings to the texts below them; empty without the source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # an installation without sources, or a notebook
        return {}
    return {node.name: dict(_texts_below(node.body)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts_below(statements):
    for declared, below in itertools.pairwise(statements):
        text = getattr(getattr(below, "value", None), "value", None)
        if isinstance(declared, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(text, str):
            target = declared.target if isinstance(declared, ast.AnnAssign) else declared.targets[0]
            yield target.id, " ".join(text.split())


def _for_flags(facts):
    """The type of a setting for tyro, with the name of its value and its default for the help."""
    if not facts.derived:
        return Annotated[facts.kind, tyro.conf.arg(metavar=facts.metavar)] if facts.metavar else facts.kind
    choices = f"{{{','.join(get_args(facts.kind))}}}" if get_origin(facts.kind) is Literal else None
    metavar = facts.metavar or choices or _METAVARS.get(facts.kind)
    return Annotated[facts.kind | None, tyro.conf.arg(help_behavior_hint=f"(default: {_told(facts)})", metavar=metavar)]


def _told(facts):
    told = [_word(facts.default) if facts.shown is None else facts.shown]
    if facts.small not in (UNSAID, facts.default):
        told.append(f"{_word(facts.small)} below 256 pixels")
    if facts.emoji not in (UNSAID, facts.default) and "emoji" not in told[0]:
        told.append(f"{_word(facts.emoji)} for emoji")
    return "; ".join(told)


def _word(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


# ---- settings in the docstring of a class ----


def documented(group):
    """Class decorator that replaces `{settings}` in the `Args:` of a docstring by the settings of the constructor.

    Args:
        group: dataclass of settings. The constructor's signature has their defaults, or None.
    """

    def with_settings(cls):
        if cls.__doc__ is not None:  # `python -OO` leaves docstrings out
            facts, parameters = facts_of(group), inspect.signature(cls).parameters.items()
            entries = [_entry(name, facts[name], each.default) for name, each in parameters if name in facts]
            cls.__doc__ = inspect.cleandoc(cls.__doc__).replace("    {settings}", "\n".join(entries))
        return cls

    return with_settings


def _entry(name, facts, default):
    """The entry of a setting in `Args:`, with names of arguments for the flags in its text."""
    kind = f"{facts.kind.__name__}. " if facts.kind in _METAVARS else ""
    if get_origin(facts.kind) is Literal:
        *others, last = map(_in_python, get_args(facts.kind))
        kind = f"{', '.join(others)} or {last}. "
    told = facts.shown if default is None else _in_python(default)
    entry = f"{name}: {kind}{facts.text} Defaults to {told}."
    entry = re.sub(r"--([a-z][a-z-]*)", lambda flag: f"`{flag[1].replace('-', '_')}`", entry)
    return textwrap.fill(entry, 116, initial_indent=" " * 4, subsequent_indent=" " * 8, break_on_hyphens=False)


def _in_python(value):
    if isinstance(value, float):
        return f"{value:g}"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`" if isinstance(value, tuple) else str(value)


# ---- groups of settings, as one flat list of names ----


def names_of(group):
    """The names of all settings of a group and of the groups in it.

    Args:
        group: dataclass, or an instance of one.

    Returns:
        List of str.
    """
    names = []
    for field in dataclasses.fields(group):
        value = getattr(group, field.name, None)
        names += names_of(value) if dataclasses.is_dataclass(value) else [field.name]
    return names


def facts_of(group):
    """Dict of the names of all settings of a group, and of the groups in it, to their `Facts`."""
    found = {}
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        found |= facts_of(value) if dataclasses.is_dataclass(value) else {field.name: field.metadata["facts"]}
    return found


def flat(group):
    """Dict of the names of all settings of a group, and of the groups in it, to their values."""
    values = {}
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        values |= flat(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return values


def replaced(group, values):
    """A copy of a group of settings with other values, also in the groups inside it; unknown names are ignored."""
    changes = {}
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        if dataclasses.is_dataclass(value):
            changes[field.name] = replaced(value, values)
        elif field.name in values:
            changes[field.name] = values[field.name]
    return dataclasses.replace(group, **changes)
