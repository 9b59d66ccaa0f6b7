"""The ladder on Imagenette: flat rungs on 32 px pictures, the convnet on 64 px, three seeds."""

from rung import Benchmark, Reported

LIST = "github.com/fastai/imagenette"
benchmark = Benchmark(
    datasets=["imagenette"],
    seeds=3,
    reported=[
        Reported("xresnet50, 128 px, 5 epochs, mean of 5 runs", 0.8743, LIST),
        Reported("xresnet50, 128 px, 20 epochs, mean of 5 runs", 0.9157, LIST),
        Reported("xresnet50, 128 px, 200 epochs, 1 run", 0.9424, LIST),
        Reported("xresnet50, 256 px, 200 epochs, 1 run", 0.9511, LIST),
    ],
)
