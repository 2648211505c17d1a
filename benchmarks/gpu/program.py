"""A dumped step as a function that JAX compiles. Needs JAX and NumPy, and neither TensorFlow nor tf_cyclegan."""

import dataclasses
import gzip
import json
from pathlib import Path

import jax
import numpy as np
from jax._src.export import _export
from step_state import first_value

jax.config.update("jax_enable_x64", True)  # counters are int64


class Program:
    """What `dump_step.py` wrote into a folder.

    Args:
        folder: path.
        platform: `"cpu"` or `"cuda"`, what it will be compiled for.
    """

    def __init__(self, folder, platform):
        self.folder = Path(folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text())
        self.images, self.variables = self.manifest["images"], self.manifest["variables"]
        self.parameters = [*self.images, *self.variables]
        self.results = self.manifest["results"]
        self._platform = platform

    def lowered(self, sharding=None):
        """The program for XLA, its variables updated in place."""
        structs = [jax.ShapeDtypeStruct(p["shape"], p["dtype"], sharding=sharding) for p in self.parameters]
        updated = tuple(result for result in self.results if isinstance(result, int))
        function = jax.jit(self._exported().call, donate_argnums=updated)
        return function.trace(*structs).lower(lowering_platforms=(self._platform,))

    def first_values(self):
        stored = np.load(self.folder / "stored.npz")
        return [jax.device_put(first_value(variable, stored)) for variable in self.variables]

    def step(self, compiled, state, images):
        """Runs a step, puts the variables' new values into the list `state`, and returns the losses."""
        answers, losses = compiled(*images, *state), {}
        for result, answer in zip(self.results, answers, strict=True):
            if isinstance(result, int):
                state[result - len(images)] = answer
            else:
                losses[result] = answer
        return losses

    def _exported(self):
        """A `jax.export.Exported` around the program: JAX makes them of its own functions only."""
        inputs = tuple(jax.core.ShapedArray(tuple(p["shape"]), np.dtype(p["dtype"])) for p in self.parameters)
        loss = jax.core.ShapedArray((), np.dtype("float32"))
        outputs = tuple(inputs[result] if isinstance(result, int) else loss for result in self.results)
        values = {
            "fun_name": "program",
            "in_tree": jax.tree_util.tree_structure((inputs, {})),
            "in_avals": inputs,
            "out_tree": jax.tree_util.tree_structure(outputs),
            "out_avals": outputs,
            "nr_devices": 1,
            "platforms": (self._platform,),  # several would make their index the first parameter
            "mlir_module_serialized": gzip.decompress((self.folder / "program.vhlo.gz").read_bytes()),
            "calling_convention_version": jax.export.maximum_supported_calling_convention_version,
            "module_kept_var_idx": tuple(range(len(inputs))),
        }
        values |= dict.fromkeys(("ordered_effects", "unordered_effects", "disabled_safety_checks"), ())
        values |= dict.fromkeys(("_has_named_shardings", "uses_global_constants"), False)
        for side, avals in (("in", inputs), ("out", outputs)):
            values |= {key.format(side): (None,) * len(avals) for key in ("_{}_named_shardings", "{}_shardings_hlo")}
        fields = [field.name for field in dataclasses.fields(_export.Exported)]
        return _export.Exported(**{name: values.get(name) for name in fields})
