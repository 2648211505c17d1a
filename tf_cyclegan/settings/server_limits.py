"""The limits of a request to the server, and of an image that an exported model decodes."""

from tf_cyclegan.settings.checks import check_integer, check_positive
from tf_cyclegan.settings.fields import derived, settings

# The server and the exported models look at an image's size before they decode it: a file of 20 kB can hold an image
# that fills the memory.
MAX_SIDE = 8192
MAX_PIXELS = 2**24


@settings
class LimitSettings:
    """The limits of a request; a request beyond a limit gets an HTTP error."""

    timeout_seconds: float = 30.0
    """Longest time in seconds from the arrival of a request to its reply, with waiting; a later request gets 504."""
    max_body_bytes: int = 16 * 2**20
    """Largest size of a request in bytes, also after decompression; a larger request gets 413."""
    max_pixels: int = MAX_PIXELS
    """Largest number of pixels of all encoded images in a request; more get 400."""
    max_instances: int = 32
    """Largest number of instances in a request; more get 400."""
    max_running: int = derived(shown="CPU cores")
    """Largest number of requests that are computed at the same time."""
    max_queued: int = 16
    """Largest number of requests that wait; more get 503."""
    max_memory_bytes: int = derived(shown="80 % of the free memory")
    """Largest memory for the images of running requests, estimated from the memory of a pixel when the model was
    loaded; more get 429."""

    def check(self):
        """Raises `ValueError` if a limit is below 1, or `max_queued` below 0."""
        for name in ("max_body_bytes", "max_pixels", "max_instances"):
            check_integer(name, getattr(self, name), minimum=1)
        for name in ("max_running", "max_memory_bytes"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), minimum=1)
        check_integer("max_queued", self.max_queued, minimum=0)
        check_positive("timeout_seconds", self.timeout_seconds)
