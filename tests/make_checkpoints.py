"""Makes the files in tests/data/checkpoints with PyTorch: python tests/make_checkpoints.py

They were made with PyTorch 2.13. `expected.npz` holds what PyTorch says is in them.
"""

import collections
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "data" / "checkpoints"


def tensors():
    """One tensor of every kind that a checkpoint may have."""
    torch.manual_seed(0)
    shared = torch.randn(40)
    kinds = {
        "convolution.weight": torch.nn.Parameter(torch.randn(4, 3, 3, 3)),
        "transposed": torch.randn(3, 5).t(),
        "strided": torch.randn(6, 8)[1::2, 2::3],
        "expanded": torch.randn(3, 1).expand(3, 4),
        "shared.first": shared[:10].view(2, 5),
        "shared.second": shared[7:31:3],
        "tied": shared,
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "float16": torch.randn(5).half(),
        "bfloat16": torch.randn(3, 4).bfloat16(),
        "bfloat16_transposed": torch.randn(3, 4).bfloat16().t(),
        "float64": torch.randn(4).double(),
        "bool": torch.tensor([True, False, True]),
    }
    integers = {str(dtype).split(".")[1]: torch.arange(-3, 4).to(dtype) for dtype in INTEGERS}
    return collections.OrderedDict(kinds | integers)


INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)


def trained():
    """A network and its optimizer after a step, as training programs save them together."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.randn(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    return network, optimizer


def arrays(state, prefix):
    values = {name: tensor.detach() for name, tensor in state.items()}
    exact = {name: tensor.float() if tensor.dtype == torch.bfloat16 else tensor for name, tensor in values.items()}
    return {f"{prefix}/{name}": np.array(tensor.numpy(), order="C") for name, tensor in exact.items()}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    state, (network, optimizer) = tensors(), trained()
    weights = network.state_dict()
    torch.save(state, FOLDER / "zip.pth")
    torch.save(state, FOLDER / "stream.pth", _use_new_zipfile_serialization=False)
    torch.save({"uint16": torch.arange(3).to(torch.uint16)}, FOLDER / "unsigned.pth")
    training = {"epoch": 3, "model": weights, "optimizer": optimizer.state_dict(), "rng_state": torch.arange(9)}
    torch.save(training, FOLDER / "training.pth")
    torch.save(training, FOLDER / "training_stream.pth", _use_new_zipfile_serialization=False)
    torch.save({"a": weights, "b": weights}, FOLDER / "domains.pt")
    wrapped = torch.nn.DataParallel(torch.compile(network))
    torch.save(wrapped.state_dict(), FOLDER / "parallel.pth")
    torch.save(network, FOLDER / "module.pth")
    torch.serialization.set_crc32_options(False)
    torch.save(weights, FOLDER / "without_checksums.pth")
    np.savez_compressed(FOLDER / "expected.npz", **arrays(state, "kinds"), **arrays(weights, "weights"))


if __name__ == "__main__":
    main()
