#!/usr/bin/env python3
"""Compiles dumped steps for an H100 without one, and says what the compiled programs do.

    python benchmarks/gpu/compile_for_gpu.py FOLDER...

Needs JAX's plugin for CUDA and no GPU. Each folder keeps `compiled.hlo` and `memory.json`; what is there is read again.
"""

import argparse
import json
import os
from pathlib import Path

from compiled_program import facts

os.environ["JAX_PLATFORMS"] = "cpu"


def compile_into(folder):
    import jax
    from jax.experimental import topologies
    from program import Program

    card = (Path(__file__).parent / "h100.txtpb").read_text()
    topology = topologies.get_topology_desc(platform="cuda", topology_name="", topology="1x1x1", target_config=card)
    sharding = jax.sharding.SingleDeviceSharding(topology.devices[0])
    compiled = Program(folder, "cuda").lowered(sharding).compile()
    (folder / "compiled.hlo").write_text(compiled.as_text())
    memory = compiled.memory_analysis()
    sizes = {key: getattr(memory, f"{key}_size_in_bytes") for key in ("argument", "output", "alias", "temp")}
    (folder / "memory.json").write_text(json.dumps(sizes))


def of_folder(folder):
    if not (folder / "memory.json").exists():
        compile_into(folder)
    memory = json.loads((folder / "memory.json").read_text())
    found = {f"memory, {key} (MB)": round(size / 1e6) for key, size in memory.items()}
    return found | facts((folder / "compiled.hlo").read_text())


def main(folders):
    columns = [of_folder(folder) for folder in folders]
    print("|", *(f"| {folder.name}" for folder in folders), "|")
    print("| --- " * (1 + len(folders)) + "|")
    for name in columns[0]:
        print(f"| {name}", *(f"| {column[name]:,}" for column in columns), "|")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    main(parser.parse_args().folders)
