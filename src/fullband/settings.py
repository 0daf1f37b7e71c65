"""Settings as data: TOML or dictionaries to frozen dataclasses, strictly.

A recipe may only name what a dataclass declares. An unknown key is an error with a suggestion, a
wrong type is an error that says what was expected, and nothing in a recipe can name or run code.
Defaults live in the dataclasses and nowhere else.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import sys
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from fullband.errors import MissingFileError, SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["build", "override", "parse_assignment", "read_toml", "to_dict"]

Settings = TypeVar("Settings")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a recipe into a plain dictionary.

    Raises:
        MissingFileError: the file does not exist.
        SettingsError: it is not valid TOML.
    """
    path = Path(path)
    try:
        is_endless = path.exists() and not path.is_file() and not path.is_dir()  # may be: a device
        text = "" if is_endless else path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise MissingFileError(f"{path}: no such recipe") from None
    except OSError as error:
        raise MissingFileError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not a text file") from None
    except ValueError:  # a null in the name
        raise MissingFileError(f"{path}: no such recipe") from None
    if is_endless:
        raise SettingsError(f"{path}: is not a regular file")
    try:
        return _parse(text)
    except ValueError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def build(cls: type[Settings], data: dict[str, Any], where: str = "settings") -> Settings:
    """Make a frozen dataclass out of a dictionary, checking every key and type.

    Nested tables become nested dataclasses, arrays become tuples, whole numbers are accepted where
    a float is declared, and nothing else is converted.

    Args:
        where: how error messages call the place, for example the recipe's path.

    Raises:
        SettingsError: a key is unknown or missing, a value has the wrong type, or the dataclass
            itself refuses it.
    """
    if not isinstance(data, dict):
        raise SettingsError(f"{where}: expected a table, got {_describe(data)}")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in fields:
            raise SettingsError(f"{where}: unknown key '{key}'{_suggestion(key, list(fields))}")
        values[key] = _convert(hints[key], value, f"{where}: {key}")
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in values:
            raise SettingsError(f"{where}: '{name}' is missing")
    try:
        return cls(**values)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None


def to_dict(settings: Any) -> dict[str, Any]:
    """The inverse of `build`: nested dictionaries and lists that JSON and TOML can hold."""
    return {
        field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)
    }


def parse_assignment(text: str) -> tuple[list[str], Any]:
    """Split `optimiser.learning_rate=1e-4` into its path and its value, read as TOML.

    A value that is not TOML is taken as a string, so `model.name=audiounet` needs no quotes.

    >>> parse_assignment("run.steps=100")
    (['run', 'steps'], 100)
    >>> parse_assignment("model.name=audiounet")
    (['model', 'name'], 'audiounet')
    """
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys) or "\n" in text:
        raise SettingsError(f"'{text}': write a setting as section.key=value")
    try:
        return keys, _parse(f"value = {value}")["value"]
    except ValueError:
        return keys, value.strip()


def override(data: dict[str, Any], assignments: typing.Iterable[str]) -> dict[str, Any]:
    """Apply `section.key=value` assignments to a recipe's dictionary and return the new one."""
    result = copy.deepcopy(data)
    for text in assignments:
        keys, value = parse_assignment(text)
        table = result
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise SettingsError(f"'{text}': '{key}' is not a section")
        table[keys[-1]] = value
    return result


def _parse(text: str) -> dict[str, Any]:
    """TOML, everything that is wrong with it being a ValueError."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        if dataclasses.is_dataclass(value):
            return value
        return build(typing.cast("type[Any]", kind), value, where)
    if origin is typing.Literal:
        if value not in arguments:
            options = ", ".join(repr(argument) for argument in arguments)
            raise SettingsError(f"{where}: {value!r} is not one of {options}")
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        for argument in arguments:
            if argument is type(None):
                continue
            try:
                return _convert(argument, value, where)
            except SettingsError:
                continue
        raise SettingsError(f"{where}: {_describe(value)} does not fit")
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise SettingsError(f"{where}: expected an array, got {_describe(value)}")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_convert(arguments[0], item, where) for item in value)
        if len(arguments) != len(value):
            raise SettingsError(f"{where}: expected {len(arguments)} values, got {len(value)}")
        return tuple(_convert(a, v, where) for a, v in zip(arguments, value, strict=True))
    if origin is dict:
        if not isinstance(value, dict):
            raise SettingsError(f"{where}: expected a table, got {_describe(value)}")
        return {str(key): _convert(arguments[1], item, where) for key, item in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type):
        if isinstance(value, bool) and kind is not bool:
            raise SettingsError(f"{where}: expected {kind.__name__}, got {_describe(value)}")
        if isinstance(value, kind):
            return value
        raise SettingsError(f"{where}: expected {kind.__name__}, got {_describe(value)}")
    raise TypeError(f"{where}: settings cannot hold {kind!r}")  # a mistake in our own dataclass


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _describe(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"


def _suggestion(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known keys: {', '.join(known)}"
