"""The default: small pictures, digits, messages, a table to classify and one to regress, in two minutes."""

from rung import Benchmark, Variant

SMALL = ["imagenette_mini", "digits", "breast_cancer", "diabetes"]
benchmark = Benchmark(
    datasets=[*SMALL, "sms_spam"],
    seeds=3,
    # For two minutes: a quarter of the patches, a third of the trees, half of the epochs; a net for
    # tables that compares no settings; of messages one kernel, and a third for the Gaussian process.
    # auto-sklearn, where it is, searches for the 30 seconds that it must; for messages they are few.
    variants=[
        Variant("random_forest", parameters={"n_estimators": 100}, datasets=SMALL),
        Variant("random_forest", parameters={"n_estimators": 50}, datasets=["sms_spam"]),
        Variant("random_patches", parameters={"n_patches": 256}),
        Variant("convnet", px=32, parameters={"epochs": 10}),
        Variant("net", parameters={"epochs": 30, "dropout": 0.1}),
        Variant("auto_sklearn", parameters={"seconds": 30}, datasets=SMALL),
        Variant("kernel_ridge", parameters={"kernel": "rbf"}, datasets=["sms_spam"]),
        Variant(
            "gaussian_process",
            parameters={"max_rows": 1_300, "tuning_rows": 400},
            datasets=["sms_spam"],
        ),
    ],
)
