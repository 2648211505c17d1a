"""Trained generators as models that other programs run: SavedModel, TFLite and ONNX."""

from tf_cyclegan.inference.export.export_command import run_export
from tf_cyclegan.inference.export.saved_model import export_saved_model

__all__ = ["export_saved_model", "run_export"]
