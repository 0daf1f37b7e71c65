"""Draw what a model makes of telling moments of a corpus: one PNG per moment and cutoff.

    python benchmarks/gallery.py CORPUS OUT [--model speech] [--split test] [--search 40]

Input, output and original stand above each other, for harmonics, fricatives, an onset, silence and
breath, at 4, 6, 8 and 12 kHz. The moments are found by measuring, see `fullband.evaluate.gallery`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import fullband
from fullband.evaluate.cutoffs import choose_recordings
from fullband.evaluate.gallery import GALLERY_CUTOFFS_HZ, draw_gallery, find_moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="speech")
    parser.add_argument("--split", default="test")
    parser.add_argument("--search", type=int, default=40, help="recordings that are searched")
    options = parser.parse_args()
    enhancer = fullband.load(options.model)
    highest_hz = max(GALLERY_CUTOFFS_HZ)
    recordings = choose_recordings(options.corpus, options.split, highest_hz, options.search)
    moments = find_moments(recordings)
    for moment in moments:
        print(f"{moment.kind}: {moment.recording.file} at {moment.at_s:.2f} s")
    draw_gallery(
        moments,
        lambda *given: enhancer(*given)[0],
        options.out,
        options.model,
        lambda name, done, total: print(f"{done + 1}/{total} {name}", flush=True),
    )


if __name__ == "__main__":
    main()
