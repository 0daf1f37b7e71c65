"""Make a 16 kHz speech corpus out of recordings that Debian packages carry.

    python recipes/prepare_debian_speech.py LIST.csv FOLDER [--also NAME=CORPUS ...]

LIST.csv names the recordings (columns package, path, speaker, split, usable_16k). Packages are
downloaded with `apt-get download` and unpacked with `dpkg-deb -x`: nothing is installed and root is
not needed. Only ready-to-read files are taken (no headerless G.722). FOLDER gets a `files.csv` in
the form that `fullband train` and `fullband evaluate` read; `--also` adds another corpus to it, so
that one training can use both. The splits `valid-short` and `test-short` are every eighth
file of `valid` and `test`.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("list", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--also", action="append", default=[], metavar="NAME=CORPUS")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)

    with options.list.open(newline="", encoding="utf-8") as lines:
        listed = [row for row in csv.DictReader(lines) if row["usable_16k"] == "1"]
    listed = [row for row in listed if not row["path"].endswith(".g722")]
    rows = []
    for package in sorted({row["package"] for row in listed}):
        unpack(package, options.folder)
        for row in (row for row in listed if row["package"] == package):
            name = f"{package}/{row['path']}"
            if (options.folder / name).is_file():
                rows.append({"file": name, "split": row["split"], "speaker": row["speaker"]})
            else:
                print(f"not in this version of {package}: {row['path']}")
    for also in options.also:
        name, _, corpus = also.partition("=")
        rows += linked(name, Path(corpus), options.folder)
    for split in ("valid", "test"):
        own = [row for row in rows if row["split"] == split]
        rows += [{**row, "split": f"{split}-short"} for row in own[::8]]

    with (options.folder / "files.csv").open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["file", "split", "speaker"])
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} files in {options.folder}")


def unpack(package: str, folder: Path) -> None:
    """Download and unpack a package into a folder of its name, unless it is there."""
    if (folder / package).is_dir():
        return
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
    archive = next(folder.glob(f"{package}_*.deb"))
    subprocess.run(["dpkg-deb", "-x", archive.name, package], cwd=folder, check=True)
    archive.unlink()


def linked(name: str, corpus: Path, folder: Path) -> list[dict[str, str]]:
    """Link another corpus into the folder and give its rows; it must have a files.csv."""
    link = folder / name
    if not link.exists():
        link.symlink_to(corpus.resolve(), target_is_directory=True)
    with (corpus / "files.csv").open(newline="", encoding="utf-8") as lines:
        return [
            {"file": f"{name}/{row['file']}", "split": row["split"], "speaker": name}
            for row in csv.DictReader(lines)
        ]


if __name__ == "__main__":
    main()
