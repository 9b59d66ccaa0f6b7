"""Breast cancer: malignant or benign, from 30 measures of cell nuclei (Wolberg et al., 1993)."""

from rung.sources import ScikitLearn

dataset = ScikitLearn(
    title="Breast cancer",
    loader="breast_cancer",
    modality="tabular",
    source="https://archive.ics.uci.edu/dataset/17",
    licence="CC BY 4.0",
    citation="doi:10.24432/C5DW2B",
)
