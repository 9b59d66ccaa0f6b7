"""The default: small pictures, digits, messages, a table to classify and one to regress, in two minutes."""

from rung import Benchmark, Variant

benchmark = Benchmark(
    datasets=["imagenette_mini", "digits", "sms_spam", "breast_cancer", "diabetes"],
    seeds=3,
    # For two minutes: a quarter of the patches, a third of the trees, half of the epochs; a net for
    # tables that compares no settings; of messages one kernel, and a third for the Gaussian process.
    variants=[
        Variant("random_forest", parameters={"n_estimators": 100}),
        Variant("random_patches", parameters={"n_patches": 256}),
        Variant("convnet", px=32, parameters={"epochs": 10}),
        Variant("net", parameters={"epochs": 30, "dropout": 0.1}),
        Variant("kernel_ridge", parameters={"kernel": "rbf"}, datasets=["sms_spam"]),
        Variant(
            "gaussian_process",
            parameters={"max_rows": 1_300, "tuning_rows": 400},
            datasets=["sms_spam"],
        ),
    ],
)
