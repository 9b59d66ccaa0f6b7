"""Imagenette mini: 150 pictures a class at 64 px, from a square copy of Imagenette's archive."""

# ImageNet terms, research use; _make_imagenette_mini.py says more and makes the table again.
from rung.sources import PicturesTable

NAMES = {"n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player",
         "n03000684": "chain saw", "n03028079": "church", "n03394916": "French horn",
         "n03417042": "garbage truck", "n03425413": "gas pump", "n03445777": "golf ball",
         "n03888257": "parachute"}  # fmt: skip
dataset = PicturesTable(
    title="Imagenette mini",
    path="imagenette_mini.parquet",
    classes=NAMES,
    licence="ImageNet terms (research); github.com/fastai/imagenette",
)
