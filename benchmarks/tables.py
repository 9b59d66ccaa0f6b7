"""Tables with columns of all kinds: census, credit, penguins and wine, three seeds."""

from rung import Benchmark

benchmark = Benchmark(datasets=["adult", "german_credit", "penguins", "wine_quality"], seeds=3)
