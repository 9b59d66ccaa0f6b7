"""The default: small pictures, digits, a table to classify and one to regress, in two minutes."""

from rung import Benchmark, Variant

benchmark = Benchmark(
    datasets=["imagenette_mini", "digits", "breast_cancer", "diabetes"],
    seeds=3,
    # A quarter of the patches, a third of the trees, half of the epochs: for two minutes.
    variants=[
        Variant("random_forest", parameters={"n_estimators": 100}),
        Variant("random_patches", parameters={"n_patches": 256}),
        Variant("convnet", px=32, parameters={"epochs": 10}),
    ],
)
