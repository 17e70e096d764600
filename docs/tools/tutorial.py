"""Makes the pictures of docs/tutorial.md from what its commands have written: python docs/tools/tutorial.py FOLDER.

FOLDER is where the commands ran: it holds `tray` and `run`. The picture of the report needs Chromium.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = Path(__file__).parents[1] / "images"
EDGE = 240  # of a picture in a row, pixels
VIEW = "r_0"
_COLORS = 128


def main() -> None:
    """Make all pictures."""
    folder = Path(sys.argv[1])
    tray, run = folder / "tray", folder / "run"
    photos = sorted((tray / "train").glob("*.png"))[::15]
    write("tutorial_photos", [opened(file) for file in photos[:4]])
    levels = sorted((run / "views" / "val" / VIEW).glob("*.png"))[:-1]  # without the whole tray
    write("tutorial_levels", [opened(tray / "val" / f"{VIEW}.png"), *map(opened, levels)])
    masks = next((run / "exports").glob("png_*")) / "masks" / "val"
    names = [file.stem for file in sorted(masks.glob("*.png"))]
    write("tutorial_masks", [cut_out(opened(tray / "val" / f"{name}.png"), masks / f"{name}.png") for name in names])
    with tempfile.TemporaryDirectory() as scratch:
        shot = Path(scratch) / "report.png"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,1140"]
        page = (run / "report.html").resolve().as_uri()
        subprocess.run(["chromium", *options, f"--screenshot={shot}", page], check=True, capture_output=True)
        report = Image.open(shot).convert("RGB")
        save("tutorial_report", report.resize((720, 720 * report.height // report.width), Image.Resampling.LANCZOS))


def opened(file: Path) -> Image.Image:
    """A picture on white, as large as it is shown."""
    picture = Image.open(file).convert("RGBA")
    page = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return page.resize((EDGE, EDGE * page.height // page.width), Image.Resampling.LANCZOS)


def cut_out(picture: Image.Image, mask: Path) -> Image.Image:
    """What a mask shows of a picture; the rest is pale."""
    inside = Image.open(mask).convert("L").resize(picture.size, Image.Resampling.BILINEAR)
    pale = Image.fromarray((235 + 0.08 * np.asarray(picture)).clip(0, 255).astype(np.uint8))
    return Image.composite(picture, pale, inside)


def write(name: str, pictures: list[Image.Image]) -> None:
    """Write pictures side by side."""
    save(name, Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures], axis=1)))


def save(name: str, picture: Image.Image) -> None:
    """Write a picture of few colours."""
    file = IMAGES / f"{name}.png"
    picture.quantize(_COLORS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
