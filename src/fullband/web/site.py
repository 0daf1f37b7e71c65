"""The page's files: where each lies, how it is sent, and the same as a folder for any static host.

Models and the runtime are the released and the vendored ones; nothing is there twice.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullband.card import cards, find_card
from fullband.errors import OutputError
from fullband.web.vendor import opened

__all__ = ["HEADERS", "POLICY", "Asset", "assets", "export_site", "models", "models_json"]

PAGE = Path(__file__).parent / "page"

POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self' blob:",  # the FLAC encoder makes its worker of a string
    "connect-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}
"""What the page may load and do (Content Security Policy level 3)."""

_ISOLATED = {
    # Threads in WebAssembly need a page that shares its process with no other site's.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}

HEADERS = {
    "Content-Security-Policy": "; ".join(
        f"{name} {value}" for name, value in {**POLICY, "frame-ancestors": "'none'"}.items()
    ),
    **_ISOLATED,
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
"""What a server says with every answer."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".onnx": "application/octet-stream",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page.

    Attributes:
        file: where it lies.
        packed: whether that is gzip of it.
    """

    name: str
    file: Path
    packed: bool = False

    @property
    def media_type(self) -> str:
        return _TYPES[Path(self.name).suffix]

    def content(self) -> bytes:
        """Unpacked."""
        return opened(Path(self.name).name) if self.packed else self.file.read_bytes()


def assets() -> dict[str, Asset]:
    """All files of the page by their paths, but for `models.json`."""
    found = {}
    for file in sorted(PAGE.rglob("*")):
        name = file.relative_to(PAGE).as_posix()
        if file.suffix == ".gz":
            found[name.removesuffix(".gz")] = Asset(name.removesuffix(".gz"), file, packed=True)
        elif file.suffix in _TYPES and file.name != "vendored.json":
            found[name] = Asset(name, file)
    for model in models():
        name = f"models/{model['name']}.onnx"
        found[name] = Asset(name, find_card(model["name"])[1])
    return found


def models() -> list[dict[str, Any]]:
    """The released models that the page runs: those of any rate, as it needs to know them."""
    wanted = ("name", "summary", "sample_rate", "stride", "context", "memory")
    return [
        {
            **{name: getattr(card, name) for name in wanted},
            "bandwidth_range_hz": list(card.bandwidth_range_hz),
            "fills_holes": card.fills_holes,
        }
        for card in cards()
        if card.bandwidth_range_hz is not None
    ]


def models_json(server: bool) -> str:
    """`models.json`.

    Args:
        server: whether what serves the page also takes files and calls.
    """
    return json.dumps({"models": models(), "server": server}, indent=1)


def export_site(folder: str | os.PathLike[str], force: bool = False) -> list[Path]:
    """Write the page into a folder that any static host can serve, and say what was written.

    A host that lets a `_headers` file say so sends what threads need; on others the page runs on
    one core. The folder appears whole or not at all.

    Args:
        force: replace a folder that was written so before.

    Raises:
        OutputError: it is there already, or cannot be written.
    """
    target = Path(folder)
    if target.exists() and not (force and (target / "models.json").is_file()):
        rest = "; --force replaces a page" if not force else " and is not a page that was exported"
        raise OutputError(f"{target}: is there already{rest}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".page-") as temporary:
            made = Path(temporary) / "page"
            _write_site(made)
            made.chmod(0o755)
            if target.exists():
                shutil.rmtree(target)
            made.replace(target)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{target}: cannot be written ({reason})") from None
    return sorted(file for file in target.rglob("*") if file.is_file())


def _write_site(folder: Path) -> None:
    for name, asset in assets().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(asset.content())
    (folder / "models.json").write_text(models_json(server=False), encoding="utf-8")
    page = folder / "index.html"
    policy = "; ".join(f"{name} {value}" for name, value in POLICY.items())
    tag = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    text = re.sub(r'(<meta charset="utf-8">)', rf"\1\n{tag}", page.read_text("utf-8"), count=1)
    page.write_text(text, encoding="utf-8")
    headers = "".join(f"  {name}: {value}\n" for name, value in HEADERS.items())
    (folder / "_headers").write_text(f"/*\n{headers}", encoding="utf-8")
