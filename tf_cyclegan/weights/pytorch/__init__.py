"""Weights of the PyTorch implementations in the networks here, without needing torch."""

from tf_cyclegan.weights.pytorch.architecture import infer
from tf_cyclegan.weights.pytorch.reading import read_checkpoint
from tf_cyclegan.weights.pytorch.state_dicts import load_state_dict, network_from_state_dict, to_state_dict
from tf_cyclegan.weights.pytorch.writing import write_checkpoint

__all__ = [
    "infer",
    "load_state_dict",
    "network_from_state_dict",
    "read_checkpoint",
    "to_state_dict",
    "write_checkpoint",
]
