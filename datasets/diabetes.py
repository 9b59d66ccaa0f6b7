"""Diabetes: progression after a year, from ten measures of 442 patients (Efron et al., 2004)."""

from rung.sources import ScikitLearn

dataset = ScikitLearn(
    title="Diabetes",
    loader="diabetes",
    options={"scaled": False},  # scikit-learn would standardise over the test rows as well
    task="regression",
    modality="tabular",
    source="https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html",
    licence="none stated",
    citation="doi:10.1214/009053604000000067",
)
