"""`python -m tf_cyclegan` is `tf-cyclegan`."""

import sys

from tf_cyclegan.cli import main

if __name__ == "__main__":
    sys.exit(main())
