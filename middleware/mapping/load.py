"""Reading `mappings.json`."""

from pathlib import Path

from mappings.config.file import MappingFile, parse_mapping
from middleware.settings import SettingsError


def load_mapping(file: Path) -> MappingFile:
    """Read the mapping file.

    Raises:
        SettingsError: it cannot be read.
        MappingErrors: every mistake in it.
    """
    return parse_mapping(mapping_text(file))


def mapping_text(file: Path) -> str:
    """The text of the mapping file.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(
            [f"MAPPINGS_FILE: there is no {file}; copy mappings.example.json and name your projects"]
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"MAPPINGS_FILE: {file} cannot be read: {error}"]) from error
