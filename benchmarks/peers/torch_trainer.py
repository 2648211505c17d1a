"""CycleGAN trained by PyTorch with the original's recipe. Imports PyTorch.

Networks and losses have the names that they have in `tf_cyclegan`, images are channels last, as there.
"""

import itertools
import random
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # whose networks in PyTorch these are
from reference.torch_networks import torch_network  # noqa: E402

# The original's names: D_A judges what G_A makes, images of B.
FILES = {"generator_ab": "G_A", "generator_ba": "G_B", "discriminator_b": "D_A", "discriminator_a": "D_B"}
LAMBDA_CYCLE, LAMBDA_IDENTITY = 10.0, 0.5


class TorchPool:
    """The history of generated images: each image is stored and returned, or once full exchanged by chance.

    Args:
        size: int, images held; 0 returns every image as it is.
        seed: int, of the choices.

    Reference:
        [Shrivastava et al., 2016](https://arxiv.org/abs/1612.07828), section 2.3.
    """

    def __init__(self, size, seed):
        self.size, self.images, self._random = size, [], random.Random(seed)

    def __call__(self, images):
        return torch.stack([self._exchanged(image) for image in images]) if self.size else images

    def _exchanged(self, image):
        if len(self.images) < self.size:
            self.images.append(image)
        elif self._random.random() > 0.5:
            place = self._random.randrange(self.size)
            self.images[place], image = image, self.images[place]
        return image


class TorchCycleGAN:
    """Two generators and two discriminators with their optimizers and pools.

    Args:
        filters, residual_blocks: int, of the generators.
        discriminator_filters: int.
        pool_size: int. Defaults to 50.
        seed: int, of the weights and pools. Defaults to 0.
        dtype: `torch.dtype`. Defaults to float32.
    """

    def __init__(self, filters, residual_blocks, discriminator_filters, pool_size=50, seed=0, dtype=torch.float32):
        torch.manual_seed(seed)
        generator = {"filters": filters, "residual_blocks": residual_blocks}
        self.networks = {
            role: new_network("resnet_generator", generator)
            if role.startswith("generator")
            else new_network("patchgan_discriminator", {"filters": discriminator_filters})
            for role in FILES
        }
        for network in self.networks.values():
            network.to(dtype)
        self.dtype = dtype
        self.pools = {domain: TorchPool(pool_size, seed=f"{domain}{seed}") for domain in "ab"}
        self.generator_optimizer = self._adam("generator")
        self.discriminator_optimizer = self._adam("discriminator")

    def _of(self, kind):
        return [network for role, network in self.networks.items() if role.startswith(kind)]

    def _adam(self, kind):
        parameters = itertools.chain(*(network.parameters() for network in self._of(kind)))
        return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), eps=1e-8)

    def save(self, folder):
        """Writes the four files that the original writes.

        Args:
            folder: path of a folder that is there.

        Returns:
            List of their paths.
        """
        paths = [Path(folder, f"latest_net_{name}.pth") for name in FILES.values()]
        for role, path in zip(FILES, paths, strict=True):
            torch.save(self.networks[role].state_dict(), path)
        return paths

    def load(self, folder):
        """Reads the four files: of all else, moments and pools, they have nothing.

        Args:
            folder: path.

        Returns:
            The trainer itself.
        """
        for role, name in FILES.items():
            self.networks[role].load_state_dict(torch.load(Path(folder, f"latest_net_{name}.pth"), weights_only=True))
        return self

    def step(self, images_a, images_b):
        """Updates the generators, then the discriminators on what the generators made before their update.

        Args:
            images_a, images_b: float arrays `(batch, height, width, 3)` in [-1, 1].

        Returns:
            Dict of the losses to floats, weighted as in the objectives.
        """
        real = {"a": self._tensor(images_a), "b": self._tensor(images_b)}
        fake, losses = self._update_generators(real)
        losses |= self._update_discriminators(real, fake)
        return {name: loss.item() for name, loss in losses.items()}

    def _update_generators(self, real):
        require_gradients(self._of("discriminator"), False)
        self.generator_optimizer.zero_grad()
        fake, losses = {}, {}
        for source, target in ("ab", "ba"):
            there = self.networks[f"generator_{source}{target}"]
            back = self.networks[f"generator_{target}{source}"]
            fake[target] = there(real[source])
            scores = self.networks[f"discriminator_{target}"](fake[target])
            losses[f"adversarial_{source}{target}"] = squared_distance(scores, 1.0)
            losses[f"cycle_{source}"] = LAMBDA_CYCLE * (back(fake[target]) - real[source]).abs().mean()
            identity = (back(real[source]) - real[source]).abs().mean()
            losses[f"identity_{source}"] = LAMBDA_CYCLE * LAMBDA_IDENTITY * identity
        sum(losses.values()).backward()
        self.generator_optimizer.step()
        return {domain: images.detach() for domain, images in fake.items()}, losses

    def _update_discriminators(self, real, fake):
        require_gradients(self._of("discriminator"), True)
        self.discriminator_optimizer.zero_grad()
        losses = {}
        for domain in "ab":
            judge = self.networks[f"discriminator_{domain}"]
            of_real, of_fake = judge(real[domain]), judge(self.pools[domain](fake[domain]))
            loss = 0.5 * (squared_distance(of_real, 1.0) + squared_distance(of_fake, 0.0))
            losses[f"discriminator_{domain}"] = loss
        sum(losses.values()).backward()
        self.discriminator_optimizer.step()
        return losses

    def translate(self, images, direction="ab"):
        """Translates images as `TranslationModel.translate` does.

        Args:
            images: float array `(batch, height, width, 3)` in [-1, 1], sides multiples of 4.
            direction: `"ab"` or `"ba"`. Defaults to `"ab"`.

        Returns:
            Array of the same shape.
        """
        with torch.inference_mode():
            translated = self.networks[f"generator_{direction}"](self._tensor(images))
        return translated.numpy().transpose(0, 2, 3, 1)

    def _tensor(self, images):
        return torch.tensor(np.moveaxis(images, -1, 1).copy(), dtype=self.dtype)


def new_network(function, settings):
    """A network as `torch_network` makes it, with kernels of N(0, 0.02) and biases of 0."""
    network = torch_network(function, settings).train()
    for name, parameter in network.named_parameters():
        nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.normal_(parameter, 0.0, 0.02)
    return network


def squared_distance(scores, target):
    """The least squares of lsgan."""
    return (scores - target).square().mean()


def require_gradients(networks, wanted):
    for network in networks:
        network.requires_grad_(wanted)
