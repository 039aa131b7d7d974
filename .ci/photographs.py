"""Small real colour images without a download: 32x32 pieces of the photographs in scikit-learn.

    python .ci/photographs.py photographs.zip

Writes `train/<class>/*.png` and `test/<class>/*.png`, two classes: pieces of `china.jpg` and of
`flower.jpg`; every fourth is a test image.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_images

SIZE = 32


def write(path: Path) -> None:
    """Cut both photographs into pieces and write them as one archive of images by class."""
    photographs = load_sample_images()
    with zipfile.ZipFile(path, "w") as archive:
        for name, photograph in zip(photographs.filenames, photographs.images, strict=True):
            label = Path(name).stem
            height, width, _ = photograph.shape
            corners = [(y, x) for y in range(0, height - SIZE, SIZE) for x in range(0, width, SIZE)]
            for number, (y, x) in enumerate(corners):
                piece = io.BytesIO()
                Image.fromarray(photograph[y : y + SIZE, x : x + SIZE]).save(piece, "PNG")
                split = "train" if number % 4 else "test"
                archive.writestr(f"{split}/{label}/{number:03}.png", piece.getvalue())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
