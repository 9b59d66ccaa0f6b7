"""Imagenette: photographs of ten easily told classes of ImageNet, 160 px (Howard, 2019)."""

from rung.sources import Archive, ImageFolder

URL = "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz"
NAMES = {"n01440764": "tench", "n02102040": "English springer", "n02979186": "cassette player",
         "n03000684": "chain saw", "n03028079": "church", "n03394916": "French horn",
         "n03417042": "garbage truck", "n03425413": "gas pump", "n03445777": "golf ball",
         "n03888257": "parachute"}  # fmt: skip
dataset = ImageFolder(
    title="Imagenette",
    archives=[Archive(URL, "e793b78cc4c9e9a4ccc0c1155377a412")],
    classes=NAMES,
    licence="ImageNet terms (research); github.com/fastai/imagenette",
)
