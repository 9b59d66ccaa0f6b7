"""Imagenette by the rules of its own list, at 128 px: random initial weights, no test-time augmentation."""

from rung import Benchmark, Reported, Variant

LIST = "github.com/fastai/imagenette, the official archive"
benchmark = Benchmark(
    datasets=["imagenette"],
    baselines=["random_patches", "convnet"],
    seeds=5,
    variants=[
        Variant("random_patches", px=64),
        Variant("random_patches", px=128),
        Variant("convnet", px=128, parameters={"epochs": 5}),
        Variant("convnet", px=128, parameters={"epochs": 20}),
    ],
    reported=[
        Reported("xresnet50, 128 px, 5 epochs, mean of 5 runs", 0.8743, LIST),
        Reported("xresnet50, 128 px, 20 epochs, mean of 5 runs", 0.9157, LIST),
        Reported("xresnet50, 128 px, 80 epochs, 1 run", 0.9355, LIST),
        Reported("xresnet50, 128 px, 200 epochs, 1 run", 0.9424, LIST),
        Reported("xresnet50, 256 px, 200 epochs, 1 run", 0.9511, LIST),
    ],
)
