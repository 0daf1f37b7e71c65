"""Other people's code that the page runs in the browser, kept in the package as it was published.

    python -m fullband.web.vendor          fetches what `page/vendor/vendored.json` names, anew

ONNX Runtime Web runs the models, Mediabunny reads and writes files, its FLAC encoder what browsers
cannot write. Each is taken from the npm registry at one version, whose hash the registry's own
`integrity` has to match, and stored compressed (gzip without a time, so that the same file comes
out again). Browsers are given it so; `opened` unpacks it. Only what `replaced` names is changed:
where one imports the other by a name that browsers cannot find.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import urllib.request
from pathlib import Path
from typing import Any

from fullband.errors import FullbandError

__all__ = ["VENDOR", "fetch", "opened", "vendored"]

VENDOR = Path(__file__).parent / "page" / "vendor"
_LIST = VENDOR / "vendored.json"
_REGISTRY = "https://registry.npmjs.org"
_MOST_BYTES = 1 << 26


def vendored() -> list[dict[str, Any]]:
    """What there is: `package`, `version`, `licence`, `integrity` (of the package) and `files`: by
    each one's name here its `path` in the package, its `sha256`, and what is `replaced` in it."""
    found: list[dict[str, Any]] = json.loads(_LIST.read_text(encoding="utf-8"))
    return found


def opened(name: str) -> bytes:
    """One of the files, unpacked."""
    return gzip.decompress((VENDOR / f"{name}.gz").read_bytes())


def fetch() -> None:
    """Fetch all of them anew.

    Raises:
        FullbandError: a package is not what its integrity says.
    """
    entries = vendored()
    for entry in entries:
        package, version = entry["package"], entry["version"]
        stem = package.rpartition("/")[2]
        with urllib.request.urlopen(f"{_REGISTRY}/{package}/-/{stem}-{version}.tgz") as answer:
            data = answer.read(_MOST_BYTES)
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        if integrity != entry["integrity"]:
            raise FullbandError(f"{package} {version}: is not what vendored.json says")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for name, file in entry["files"].items():
                member = archive.extractfile(f"package/{file['path']}")
                assert member is not None
                content = member.read()
                for before, after in file.get("replaced", {}).items():
                    content = content.replace(before.encode(), after.encode())
                file["sha256"] = hashlib.sha256(content).hexdigest()
                (VENDOR / f"{name}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    _LIST.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    fetch()
