"""TensorFlow Serving's REST interface: HTTP, JSON to arrays and back, and the web application with the page."""
