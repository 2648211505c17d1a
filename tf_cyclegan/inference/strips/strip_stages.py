"""The plan by which strips compute a network: its stages, the maps that are written, and the height of strips.

A normalization by the whole image needs all of its input before it can compute its first row. So a network is computed
in stages. Each stage computes one map strip by strip and measures it on the way. The next stages read this map from the
scratch folder, or compute its rows again where the convolutions cost less than a file.
"""

import dataclasses
import math

from tf_cyclegan.inference.strips.rules import CropToSecond
from tf_cyclegan.inference.strips.scratch import map_bytes

IMAGE = 0
# A value that costs more multiplications is written: 300 take as long as a float takes to a disk of 1 GB/s and back.
# The first and the last map of a generator, by far its largest, cost less.
_WRITTEN = 300
# Convolutions gain nothing by larger tensors, and from 32 MiB on glibc asks the system for new pages each time:
# clearing them made the stage of the head take twice as long.
_LARGEST_TENSOR = 30 * 2**20
# Kernels have buffers of their own, and freed memory is not always given back.
_ALLOWANCE = 2


@dataclasses.dataclass(frozen=True)
class Stage:
    """One pass over the height of a map.

    Args:
        target: int, the node that is computed.
        written: tuple of int, the nodes that are written on the way; they have the height of `target`.
        nodes: tuple of int, the nodes that are computed for each strip, in this order.
        measured: bool, whether the moments of `target` are taken.
        height: int, rows of `target` in a strip.
    """

    target: int
    written: tuple
    nodes: tuple
    measured: bool
    height: int = 0


@dataclasses.dataclass(frozen=True)
class Strip:
    """How the rows from `start` to before `stop` of a stage's target are computed.

    Args:
        start, stop: int.
        reads: tuple of `(node, start, stop)`, the rows that are read of the image and of maps.
        steps: tuple of `(node, local, takes)`: `local` as `rules.Rule.window` answers it, `takes` for each input where
            its rows are, `(first, count)`, or None.
        keeps: tuple of `(node, first, count)`, where the rows of the written nodes are.
        counts: dict of nodes to the number of their rows in memory.

    Strips that differ only in their place have the same `steps` and `keeps`.
    """

    start: int
    stop: int
    reads: tuple
    steps: tuple
    keeps: tuple
    counts: dict


class Plan:
    """The stages of a network for an image of one size.

    Args:
        nodes: list of `walking.Node`.
        size: `(height, width)` of the image, multiples of the network's `size_multiple`.
        memory: int, bytes that strips may take.

    Raises:
        ValueError: if not even the lowest strips fit into `memory`.
    """

    def __init__(self, nodes, size, memory):
        self.nodes = nodes
        self.sizes = _sizes(nodes, size)
        self._consumers = [[i for i, node in enumerate(nodes) if j in node.inputs] for j in range(len(nodes))]
        self.measured = {j for node in nodes if node.rule and node.rule.needs_statistics for j in node.inputs}
        self.written = self._find_written()
        self.stages = [self._with_height(stage, memory) for stage in self._find_stages()]
        self._last_use = {node: i for i, stage in enumerate(self.stages) for node in self._sources(stage)}

    # ---- the cost ----

    @property
    def scratch_bytes(self):
        """The most bytes that maps take at the same time."""
        live, most = 0, 0
        for index, stage in enumerate(self.stages):
            live += sum(map(self.bytes_of, stage.written))
            most = max(most, live)
            live -= sum(map(self.bytes_of, self.done_after(index)))
        return most

    @property
    def memory_bytes(self):
        """The bytes that the largest strip is expected to take."""
        return max(self._memory_of(stage, stage.height)[0] for stage in self.stages)

    @property
    def work(self):
        """Multiplications of all stages."""
        return sum(map(self.work_of, self.stages))

    def work_of(self, stage):
        """Multiplications of a stage; rows that two strips have in common count once."""
        return sum(self._values(node) * self.nodes[node].rule.multiplications for node in stage.nodes)

    def done_after(self, index):
        """The written nodes that stage number `index` is the last to read."""
        return [node for node, last in self._last_use.items() if last == index and node != IMAGE]

    def bytes_of(self, node):
        """Bytes of a whole map."""
        return map_bytes(self.sizes[node], self.nodes[node].channels, self.nodes[node].dtype)

    # ---- strips ----

    def strips(self, stage):
        """The strips of a stage, from the top down."""
        height = self.sizes[stage.target][0]
        for start in range(0, height, stage.height):
            yield self.strip(stage, start, min(start + stage.height, height))

    def strip(self, stage, start, stop):
        """The `Strip` of some rows of a stage's target."""
        wanted = {node: (start, stop) for node in (stage.target, *stage.written)}
        windows = {}
        for node in reversed(stage.nodes):
            inputs = self.nodes[node].inputs
            needs, local = self.nodes[node].rule.window(*wanted[node], [self.sizes[j] for j in inputs])
            windows[node] = needs, local
            for j, need in zip(inputs, needs, strict=True):
                if need is not None:
                    wanted[j] = _hull(need, wanted.get(j, need))
        steps = tuple(self._step(node, *windows[node], wanted) for node in stage.nodes)
        reads = tuple((node, *wanted[node]) for node in self._sources(stage))
        keeps = tuple((node, *_place((start, stop), wanted[node])) for node in (stage.target, *stage.written))
        counts = {node: last - first for node, (first, last) in wanted.items()}
        return Strip(start, stop, reads, steps, keeps, counts)

    def _step(self, node, needs, local, wanted):
        inputs = zip(self.nodes[node].inputs, needs, strict=True)
        return node, local, tuple(None if need is None else _place(need, wanted[j]) for j, need in inputs)

    # ---- the maps that are written ----

    def _find_written(self):
        """The nodes whose maps are kept in files."""
        tail, written = self._tail(), set()
        efforts, origins = [0.0], [{IMAGE}]
        for i, node in enumerate(self.nodes[1:], 1):
            again = sum(efforts[j] * self._values(j) for j in node.inputs) / self._values(i)
            efforts.append(node.rule.multiplications + again)
            origins.append(set().union(*(origins[j] for j in node.inputs)))
            # A sum that several layers take would otherwise be made of more and more maps, from block to block.
            joint = len(origins[i]) > 1 and len(self._consumers[i]) > 1
            if i not in tail and (joint or self._is_map(i) and efforts[i] > _WRITTEN):
                written.add(i)
                efforts[i], origins[i] = 0.0, {i}
        return written

    def _is_map(self, i):
        """Whether a map is measured, or made by a convolution whose next layer is not measured."""
        if i in self.measured:
            return True
        nexts = self._consumers[i]
        return self.nodes[i].rule.multiplications > 0 and not (len(nexts) == 1 and nexts[0] in self.measured)

    def _tail(self):
        """The last layers, from the last convolution on: their rows are never needed twice."""
        tail, i = set(), len(self.nodes) - 1
        while i != IMAGE and len(self._consumers[i]) < 2:
            tail.add(i)
            if not self.nodes[i].rule.is_pointwise or len(self.nodes[i].inputs) > 1:
                break
            i = self.nodes[i].inputs[0]
        return tail - self.measured

    # ---- stages ----

    def _find_stages(self):
        last = len(self.nodes) - 1
        targets = sorted(self.written | self.measured | {last})
        stages, waiting = [], []
        for target, following in zip(targets, [*targets[1:], None], strict=True):
            if self._can_wait(target, following):
                waiting.append(target)
                continue
            own = [target] if target in self.written else []
            stages.append(self._stage(target, (*waiting, *own)))
            waiting = []
        return stages

    def _can_wait(self, target, following):
        """Whether a sum can be written in the next stage, which computes it anyway and has its height."""
        if following is None or target in self.measured or self.nodes[target].rule.multiplications:
            return False
        needed = self._ancestors(following, self.written - {target, following})
        return target in needed and self.sizes[target][0] == self.sizes[following][0]

    def _stage(self, target, written):
        nodes = self._ancestors(target, self.written - set(written))
        return Stage(target, written, tuple(sorted(nodes)), target in self.measured)

    def _ancestors(self, target, known):
        """A node and all nodes that it is computed from, back to the known ones."""
        found, waiting = set(), [target]
        while waiting:
            i = waiting.pop()
            if i not in found and i not in known and i != IMAGE:
                found.add(i)
                waiting += self._looked_at(i)
        return found

    def _looked_at(self, i):
        inputs = self.nodes[i].inputs
        return inputs[:1] if isinstance(self.nodes[i].rule, CropToSecond) else inputs

    def _sources(self, stage):
        inputs = {j for i in stage.nodes for j in self._looked_at(i)}
        return tuple(sorted(inputs - set(stage.nodes)))

    # ---- how high strips are ----

    def _with_height(self, stage, memory):
        height = unit = self._unit(stage)
        if self._memory_of(stage, height)[0] > memory:
            height = unit = 1
        least = self._memory_of(stage, height)[0]
        if least > memory:
            raise ValueError(
                f"`tile_memory` must leave {math.ceil(least / 2**20):,} MiB for strips of an image "
                f"{self.sizes[IMAGE][1]:,} pixels wide. Received: {memory // 2**20:,} MiB left"
            )
        while 2 * height <= self.sizes[stage.target][0] + unit:
            needed, largest = self._memory_of(stage, 2 * height)
            if needed > memory or largest > _LARGEST_TENSOR:
                break
            height *= 2
        return dataclasses.replace(stage, height=height)

    def _unit(self, stage):
        """Rows of the target for a row of the smallest map: strips of multiples begin where such a row begins."""
        rows = [self.sizes[i][0] for i in (*stage.nodes, *self._sources(stage))]
        return min(2 ** math.ceil(math.log2(self.sizes[stage.target][0] / min(rows))), self.sizes[stage.target][0])

    def _memory_of(self, stage, height):
        """The bytes that a strip in the middle takes, and the bytes of its largest tensor."""
        full = self.sizes[stage.target][0]
        height = min(height, full)
        start = (full - height) // 2 // height * height
        strip = self.strip(stage, start, start + height)
        tensors = {i: self.bytes_of(i) * count // self.sizes[i][0] for i, count in strip.counts.items()}
        kept = {node for node, _, _ in strip.keeps}
        return _ALLOWANCE * _most_alive(self.nodes, strip.steps, tensors, kept), max(tensors.values())

    def _values(self, i):
        return math.prod(self.sizes[i]) * self.nodes[i].channels


def _sizes(nodes, size):
    sizes = [size]
    for node in nodes[1:]:
        sizes.append(node.rule.size([sizes[j] for j in node.inputs]))
    return sizes


def _hull(first, second):
    return min(first[0], second[0]), max(first[1], second[1])


def _place(rows, among):
    """`(first, count)`: where `rows` lie within the rows `among`."""
    return rows[0] - among[0], rows[1] - rows[0]


def _most_alive(nodes, steps, tensors, kept):
    """The most bytes alive at one time; a tensor is alive from its making to its last use."""
    last = {j: place for place, (node, _, _) in enumerate(steps) for j in nodes[node].inputs}
    made = {node for node, _, _ in steps}
    alive = sum(size for node, size in tensors.items() if node not in made)
    most = alive
    for place, (node, _, _) in enumerate(steps):
        alive += tensors[node]
        most = max(most, alive)
        alive -= sum(tensors[j] for j in set(nodes[node].inputs) if last[j] == place and j not in kept and j in tensors)
    return most
