"""What the tests measure against: the networks in PyTorch; TensorFlow's C API, by which C++ programs run models."""
