"""A pickle machine that knows tensors, dicts, lists, tuples, strings and numbers, and can do nothing else.

Python's own unpicklers import and call what a file names, and the one in C allocates what a file claims. This one has
the opcodes of protocol 2 that PyTorch writes, in Python 2 and 3; every other one is refused. It never recurses, imports
or calls anything that a file names, and its memory is bounded by the number of its steps.
"""

import struct

from tf_cyclegan.weights.pytorch import pickled_objects
from tf_cyclegan.weights.pytorch.tensors import SAVE_AGAIN
from tf_cyclegan.weights.unreadable import refuse, shown

PICKLE_BYTES = 4 * 2**20
STEPS = 250_000  # about 7000 tensors; at most some 100 bytes each
NAME_BYTES = 200


def unpickle(data, position=0):
    """Reads one pickle.

    Args:
        data: bytes, at most `PICKLE_BYTES` of which are used.
        position: int, where the pickle begins.

    Returns:
        The value, made of dict, list, tuple, str, int, float, bool, None, `Tensor` and names of PyTorch; the
        position behind it; a dict of the storages by key.

    Raises:
        Unreadable: if the pickle has anything else, is cut short, or is longer than a checkpoint needs.
    """
    machine = _Machine(data, position)
    return machine.run(), machine.position, machine.storages


class _Machine:
    """Stack, marks and memo of one pickle."""

    def __init__(self, data, position):
        self.data, self.position = data, position
        self.end = min(len(data), position + PICKLE_BYTES)
        self.stack, self.marks, self.memo = [], [], {}
        self.storages, self.steps = {}, 0

    def run(self):
        while (opcode := self.take(1)) != b".":
            self.spend(1)
            if opcode not in _OPCODES:
                refuse("a pickle of tensors, dicts and numbers", f"the pickle's opcode {shown(opcode)}", SAVE_AGAIN)
            _OPCODES[opcode](self)
        if self.marks or len(self.stack) != 1:
            refuse("a pickle of one value", f"{len(self.stack)} values")
        return self.stack.pop()

    def spend(self, steps):
        self.steps += steps
        if self.steps > STEPS:
            refuse(f"a pickle of at most {STEPS} steps", "a longer one", SAVE_AGAIN)

    def take(self, count):
        start, self.position = self.position, self.position + count
        if self.position > self.end:
            refuse(f"a pickle that ends within {self.end} bytes", f"one that needs {self.position}")
        return self.data[start : self.position]

    def number(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self):
        end = self.data.find(b"\n", self.position, min(self.end, self.position + NAME_BYTES))
        if end < 0:
            refuse(f"a name of less than {NAME_BYTES} bytes", "a longer one")
        return self.take(end + 1 - self.position)[:-1]

    def text(self, count):
        try:
            return self.take(count).decode("utf-8")
        except UnicodeDecodeError:
            return refuse("text in UTF-8", "other bytes")

    def pop(self):
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            refuse("a value on the pickle's stack", "none")
        return self.stack.pop()

    def top(self, kind):
        """The value that the next items go to."""
        value = self.pop()
        self.stack.append(value)
        if type(value) is not kind:
            refuse(f"a {kind.__name__} to add to", f"a value of type {type(value).__name__}", SAVE_AGAIN)
        return value

    def pop_marked(self):
        if not self.marks:
            refuse("a mark on the pickle's stack", "none")
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values


def _put(layout):
    def put(machine):
        value = machine.pop()
        machine.stack.append(value)
        machine.memo[machine.number(layout)] = value

    return put


def _get(layout):
    def get(machine):
        index = machine.number(layout)
        if index not in machine.memo:
            refuse("a value that the pickle kept before", f"number {index}, which it did not")
        machine.stack.append(machine.memo[index])

    return get


def _push(read):
    return lambda machine: machine.stack.append(read(machine))


def _storage(machine):
    storage = pickled_objects.storage(machine.pop())
    known = machine.storages.setdefault(storage.key, storage)
    if (known.dtype, known.whole) != (storage.dtype, storage.whole):
        refuse("one dtype and size of a storage", "two", SAVE_AGAIN)
    return storage


def _integer(machine):
    size = machine.number("<B")
    if size > 16:
        refuse("an integer of at most 16 bytes", f"{size} bytes", SAVE_AGAIN)
    return int.from_bytes(machine.take(size), "little", signed=True)


def _tuple(count):
    return _push(lambda machine: tuple([machine.pop() for _ in range(count)][::-1]))


def _protocol(machine):
    protocol = machine.number("<B")
    if protocol != 2:
        refuse("a pickle of protocol 2", f"protocol {protocol}", "Save it again without `pickle_protocol`.")


def _append(machine):
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine):
    values = machine.pop_marked()
    machine.top(list).extend(values)


def _set_item(machine):
    value, key = machine.pop(), machine.pop()
    pickled_objects.set_items(machine.top(dict), [key, value])


def _set_items(machine):
    values = machine.pop_marked()
    pickled_objects.set_items(machine.top(dict), values)


def _build(machine):
    """Attributes of a dict, PyTorch's `_metadata`, carry no tensors: they are dropped."""
    if type(machine.pop()) is not dict:
        refuse("the attributes of a dict", "those of something else", SAVE_AGAIN)
    machine.top(dict)


def _reduce(machine):
    arguments, function = machine.pop(), machine.pop()
    if type(arguments) is tuple and len(arguments) == 1 and type(arguments[0]) is list:
        machine.spend(len(arguments[0]))  # a kept list can be copied by a few bytes, again and again
    return pickled_objects.call(function, arguments)


_OPCODES = {
    b"\x80": _protocol,
    b"(": lambda machine: machine.marks.append(len(machine.stack)),
    b"}": _push(lambda machine: {}),
    b"]": _push(lambda machine: []),
    b")": _push(lambda machine: ()),
    b"t": _push(lambda machine: tuple(machine.pop_marked())),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"N": _push(lambda machine: None),
    b"\x88": _push(lambda machine: True),
    b"\x89": _push(lambda machine: False),
    b"K": _push(lambda machine: machine.number("<B")),
    b"M": _push(lambda machine: machine.number("<H")),
    b"J": _push(lambda machine: machine.number("<i")),
    b"\x8a": _push(_integer),
    b"G": _push(lambda machine: machine.number(">d")),
    b"X": _push(lambda machine: machine.text(machine.number("<I"))),
    b"T": _push(lambda machine: machine.text(machine.number("<I"))),
    b"U": _push(lambda machine: machine.text(machine.number("<B"))),
    b"c": _push(lambda machine: pickled_objects.known_name(machine.line(), machine.line())),
    b"R": _push(_reduce),
    b"Q": _push(_storage),
    b"b": _build,
    b"q": _put("<B"),
    b"r": _put("<I"),
    b"h": _get("<B"),
    b"j": _get("<I"),
    b"a": _append,
    b"e": _appends,
    b"s": _set_item,
    b"u": _set_items,
}
