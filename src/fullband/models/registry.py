"""Every architecture by name, without importing any until it is asked for."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any

from fullband.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from fullband.models.network import Network

__all__ = ["ARCHITECTURES", "BASELINES", "architecture", "build_model", "model_config"]

ARCHITECTURES = {
    "audiounet": ("fullband.models.audiounet", "AudioUNet", "AudioUNetConfig"),
    "causal-extender": ("fullband.models.causal", "CausalExtender", "CausalExtenderConfig"),
    "dnn": ("fullband.models.dnn", "DNN", "DNNConfig"),
    "extender": ("fullband.models.extender", "Extender", "ExtenderConfig"),
    "tfilm": ("fullband.models.tfilm", "TFiLMUNet", "TFiLMUNetConfig"),
    "translator": ("fullband.models.translator", "Translator", "TranslatorConfig"),
    "unfolder": ("fullband.models.unfolder", "Unfolder", "UnfolderConfig"),
    "wiener": ("fullband.models.wiener", "Wiener", "WienerConfig"),
}
"""Name to module, network class and configuration class."""

BASELINES = {
    "sinc": "band-limited resampling (soxr): nothing is added",
    "spline": "cubic spline interpolation, the paper's baseline",
}
"""Systems without weights, and what each does."""


def architecture(name: str) -> tuple[type[Network], type[Any]]:
    """The network class and the configuration class of that name.

    Raises:
        ModelError: there is none.
        DependencyError: torch is not installed.
    """
    if name not in ARCHITECTURES:
        close = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"one of {', '.join(ARCHITECTURES)}"
        raise ModelError(f"unknown architecture '{name}'; {hint}")
    module_name, network, config = ARCHITECTURES[name]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "torch":
            raise DependencyError("this needs torch: pip install 'fullband[train]'") from None
        raise
    return getattr(module, network), getattr(module, config)


def model_config(settings: dict[str, Any]) -> Any:
    """The configuration that a `[model]` table (its `name` and options) describes."""
    from fullband.settings import build

    options = dict(settings)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ModelError("a model needs a name")
    return build(architecture(name)[1], options, f"model '{name}'")


def build_model(settings: dict[str, Any]) -> Network:
    """An untrained network from a `[model]` table."""
    return architecture(str(settings.get("name")))[0](model_config(settings))
