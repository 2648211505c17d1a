"""TensorFlow Serving's REST interface: HTTP, and JSON to arrays and back."""
