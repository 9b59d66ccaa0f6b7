"""The default: small pictures, digits, a table to classify and one to regress, in two minutes."""

from rung import Benchmark

benchmark = Benchmark(datasets=["imagenette_mini", "digits", "breast_cancer", "diabetes"], seeds=3)
