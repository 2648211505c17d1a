"""Trained generators as models that other programs run: SavedModel, TFLite and ONNX."""

from tf_cyclegan.inference.export import export_saved_model, run_export

__all__ = ["export_saved_model", "run_export"]
