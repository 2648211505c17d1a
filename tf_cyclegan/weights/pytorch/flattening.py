"""Makes one dict of tensors by name of what a checkpoint holds."""

import itertools
import re

from tf_cyclegan.weights.pytorch.tensors import SAVE_AGAIN, Tensor, refuse, shown

NESTING = 16
ITEMS = 20_000
NAME_LENGTH = 512
# Names under which training programs keep the weights next to other things, the surest first.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "params_ema",
    "params",
    "ema",
    "weights",
    "module",
)
_TRAINING = re.compile(r"optim|sched|scaler|rng|ema|loss|metric", re.IGNORECASE)
# `DataParallel` and `torch.compile` put these before every name.
PREFIXES = re.compile(r"^(module\.|_orig_mod\.)+")


def named_tensors(value):
    """The tensors of a checkpoint by name.

    Nested dicts make dotted names. Of a dict that wraps the weights, only the weights are taken. Optimizers are
    dropped, and everything that is not a tensor.

    Args:
        value: what a checkpoint holds.

    Returns:
        Dict of names to `Tensor`.

    Raises:
        Unreadable: if there is no tensor, or two of one name, or more nesting than a checkpoint needs.
    """
    if type(value) is not dict:
        refuse("a dict of tensors", f"one value of type {type(value).__name__}", SAVE_AGAIN)
    named = {}
    for name, item in _items(_unwrapped(value)):
        if type(item) is Tensor and name in named:
            refuse("every name once", f"{shown(name)} twice, with and without a prefix", SAVE_AGAIN)
        if type(item) is Tensor:
            named[name] = item
    if not named:
        refuse("a dict of tensors", "a dict without any", SAVE_AGAIN)
    return named


def _items(mapping):
    """All items, those of nested dicts too, up to as many as a checkpoint can have."""
    for count, item in enumerate(_walk(mapping, "", 1)):
        if count >= ITEMS:
            refuse(f"at most {ITEMS} tensors and numbers", "more", SAVE_AGAIN)
        yield item


def _walk(mapping, prefix, depth):
    if depth > NESTING:
        refuse(f"dicts nested at most {NESTING} deep", "deeper ones", SAVE_AGAIN)
    for key, value in mapping.items():
        name = prefix + PREFIXES.sub("", str(key))
        if len(name) > NAME_LENGTH:
            refuse(f"names of at most {NAME_LENGTH} characters", "a longer one", SAVE_AGAIN)
        yield name, value
        if type(value) is dict and not _is_optimizer(value):
            yield from _walk(value, f"{name}.", depth + 1)


def _is_optimizer(mapping):
    return {"state", "param_groups"} <= set(itertools.islice(mapping, ITEMS))


def _has_tensors(value):
    return type(value) is dict and any(type(item) is Tensor for _, item in _items({"": value}))


def _unwrapped(mapping):
    """The dict of the weights; all of `mapping` where it would be a guess which dict they are."""
    for _ in range(NESTING):
        with_tensors = [key for key, value in mapping.items() if _has_tensors(value)]
        # Averaged weights are for training too, unless there are no others.
        holding = [key for key in with_tensors if not _TRAINING.search(str(key))] or with_tensors
        known = [key for key in holding if key in _WRAPPERS]
        if len(holding) != 1 or not known:
            return mapping
        mapping = mapping[known[0]]
    return mapping
