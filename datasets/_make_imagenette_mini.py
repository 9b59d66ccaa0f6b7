"""Rebuilds imagenette_mini.parquet from an Imagenette archive (or a folder of it).

    python datasets/_make_imagenette_mini.py ARCHIVE [OUTPUT]

Of each class it takes the 100 pictures of the train part and the 50 of the val part whose file
names have the lowest sha256, and keeps their centre squares at 64 px as JPEG. The same archive
and the same Pillow and pyarrow (constraints.txt) give the same bytes again.

Origin: Imagenette (github.com/fastai/imagenette), the 160 px archive; the published parquet file
was made from a square copy of the archive, in which every picture is squashed to 160×160.
Terms: the pictures are ImageNet's, for non-commercial research and education (image-net.org);
whoever holds the rights to a picture may ask for it to be taken out.
"""

from __future__ import annotations

import hashlib
import io
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from rung.archives import members
from rung.dataset import decode_picture
from rung.sources import picture_id

PX = 64
QUALITY = 90  # the 1,500 pictures are then 3.5 MB of JPEG; the repository takes 5 MB at most
A_CLASS = {"train": 100, "val": 50}


def rank(row: str) -> bytes:
    """What pictures are chosen by: a hash of the file name, which no one picked."""
    return hashlib.sha256(row.rsplit("/", 1)[-1].encode()).digest()


def shrink(encoded: bytes) -> bytes:
    """The picture as a JPEG of its centre square at 64 px, colours at full resolution."""
    out = io.BytesIO()
    Image.fromarray(decode_picture(encoded, PX)).save(
        out, "JPEG", quality=QUALITY, subsampling=0, optimize=True
    )
    return out.getvalue()


def main(archive: Path, output: Path) -> None:
    """Writes the parquet file: columns id, part, label (ImageNet folder) and jpeg."""
    found = {
        picture_id(member): content
        for member, content in members(archive, lambda m: bool(picture_id(m)), 2**30)
    }
    groups: dict[tuple[str, str], list[str]] = {}
    for row in found:
        part, label, _ = row.split("/")
        groups.setdefault((part, label), []).append(row)
    chosen = sorted(
        row for (part, _), rows in groups.items() for row in sorted(rows, key=rank)[: A_CLASS[part]]
    )
    table = pa.table(
        {
            "id": chosen,
            "part": [row.split("/")[0] for row in chosen],
            "label": [row.split("/")[1] for row in chosen],
            "jpeg": pa.array([shrink(found[row]) for row in chosen], pa.binary()),
        }
    )
    pq.write_table(table, output, compression="zstd", use_dictionary=["part", "label"])
    print(f"{output}: {len(chosen)} pictures, {table['jpeg'].nbytes:,} bytes of JPEG")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    default = Path(__file__).with_name("imagenette_mini.parquet")
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else default)
