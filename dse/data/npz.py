"""The user's own images in one NumPy file, `dataset: {name: npz, path: mine.npz}`.

It holds `train_images`, `train_labels`, `test_images`, `test_labels`: images (N, H, W) or
(N, C, H, W), uint8 (divided by 256) or float32 (used as they are); labels 0..classes-1.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from dse.data._arrays import NAMES, Arrays
from dse.errors import InputError

TAKES_PATH = True


def arrays(path: Path | None) -> Arrays:
    """The four arrays. Raises InputError for a file that is missing, damaged or wrong."""
    if path is None:
        raise InputError("dataset 'npz' needs a path, like {name: npz, path: mine.npz}")
    if not path.is_file():
        raise InputError(f"dataset 'npz': no file {str(path)!r}")
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path}: must be an .npz archive, as np.savez writes it, but is no zip file"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in NAMES if name not in archive]
            if missing:
                found = ", ".join(archive.files)
                raise InputError(f"{path}: missing {', '.join(missing)} (found: {found})")
            values = [archive[name] for name in NAMES]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as an .npz archive ({error})") from error
    return Arrays.checked(str(path), values)
