#!/usr/bin/env python3
"""Trains a model that translates images: the program `tf-cyclegan train`.

python examples/train.py                                      bundled emoji, flat to modern
python examples/train.py --dataset=cycle_gan/horse2zebra      the paper's recipe
python examples/train.py --dataset=my_photos --image-size=128
python examples/train.py --help
"""

import sys

from tf_cyclegan.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
