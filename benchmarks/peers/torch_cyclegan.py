#!/usr/bin/env python3
"""CycleGAN in PyTorch, the networks and the order of updates of the original, as a contestant, see stepping.py.

Needs an environment with torch: `pip install torch`.
"""

import itertools
import os

import torch
from stepping import arguments, serve
from torch import nn

args = arguments(__doc__)
torch.set_num_threads(len(os.sched_getaffinity(0)))


class ResidualBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.block = nn.Sequential(*convolved(width), nn.ReLU(True), *convolved(width))

    def forward(self, x):
        return x + self.block(x)


def convolved(width):
    return nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)


def generator():
    width = args.filters
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7), nn.InstanceNorm2d(width), nn.ReLU(True)]
    for _ in range(2):
        layers += [nn.Conv2d(width, 2 * width, 3, 2, 1), nn.InstanceNorm2d(2 * width), nn.ReLU(True)]
        width *= 2
    layers += [ResidualBlock(width) for _ in range(args.blocks)]
    for _ in range(2):
        width //= 2
        layers += [nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), nn.InstanceNorm2d(width), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())


def discriminator(width=64):
    layers = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for stride in (2, 2, 1):
        layers += [nn.Conv2d(width, 2 * width, 4, stride, 1), nn.InstanceNorm2d(2 * width), nn.LeakyReLU(0.2, True)]
        width *= 2
    return nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 1))


def autocast():
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bfloat16")


def random_images():
    return torch.rand(args.batch, 3, args.size, args.size) * 2 - 1


def made(network):
    return torch.compile(network) if args.compile else network


def inference():
    network, images = made(generator().eval()), random_images()

    def step():
        with torch.no_grad(), autocast():
            return network(images).float().numpy()

    return step


def training():
    real_a, real_b = random_images(), random_images()
    g_ab, g_ba, d_a, d_b = (made(network) for network in (generator(), generator(), discriminator(), discriminator()))
    adam = {"lr": 2e-4, "betas": (0.5, 0.999)}
    optimizer_g = torch.optim.Adam(itertools.chain(g_ab.parameters(), g_ba.parameters()), **adam)
    optimizer_d = torch.optim.Adam(itertools.chain(d_a.parameters(), d_b.parameters()), **adam)
    l1, mse = nn.L1Loss(), nn.MSELoss()

    def adversarial(scores, target):
        return mse(scores, torch.full_like(scores, target))

    def learn(networks, wanted):
        for parameter in itertools.chain(*(network.parameters() for network in networks)):
            parameter.requires_grad_(wanted)

    def generators():
        learn((d_a, d_b), False)
        optimizer_g.zero_grad()
        with autocast():
            fake_b, fake_a = g_ab(real_a), g_ba(real_b)
            loss = adversarial(d_b(fake_b), 1.0) + adversarial(d_a(fake_a), 1.0)
            loss = loss + 10 * (l1(g_ba(fake_b), real_a) + l1(g_ab(fake_a), real_b))
            loss = loss + 5 * (l1(g_ab(real_b), real_b) + l1(g_ba(real_a), real_a))
        loss.backward()
        optimizer_g.step()
        return loss.item(), fake_a.detach(), fake_b.detach()

    def step():
        loss, fake_a, fake_b = generators()
        learn((d_a, d_b), True)
        optimizer_d.zero_grad()
        for network, real, fake in ((d_a, real_a, fake_a), (d_b, real_b, fake_b)):
            with autocast():
                loss_d = 0.5 * (adversarial(network(real), 1.0) + adversarial(network(fake), 0.0))
            loss_d.backward()
        optimizer_d.step()
        return loss

    return step


if __name__ == "__main__":
    serve({"train": training, "infer": inference}[args.mode]())
