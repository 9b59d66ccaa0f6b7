"""The ladder on Imagenette: flat rungs on 32 px pictures, random patches and the convnet on 64 px, three seeds."""

from rung import Benchmark

benchmark = Benchmark(datasets=["imagenette"], seeds=3)
