"""Weights of the PyTorch implementations in the networks here, without needing torch."""

from tf_cyclegan.pytorch.state import load_state_dict

__all__ = ["load_state_dict"]
