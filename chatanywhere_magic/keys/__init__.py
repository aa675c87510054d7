"""Keys: secrets that do not show themselves, where they are kept, and how they are recognized in text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core import lazy_exports

if TYPE_CHECKING:
    from . import keystore, scan
    from .forms import names_a_secret
    from .keystore import Owner, Place, config_directory, file_path, find_secret, forget, keep, places_of
    from .owned import DIRECTORY_VARIABLE, ForeignFileError, check_owner, data_directory, make_directory, make_private
    from .pasted import cleaned_key
    from .scan import find_leaks, leaks_in, redacted, secrets_of_environment
    from .secret import AnswerRedactor, Secret
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "forms": "names_a_secret",
            "keystore": "Owner Place config_directory file_path find_secret forget keep keystore places_of",
            "owned": "DIRECTORY_VARIABLE ForeignFileError check_owner data_directory make_directory make_private",
            "pasted": "cleaned_key",
            "scan": "find_leaks leaks_in redacted scan secrets_of_environment",
            "secret": "AnswerRedactor Secret",
        },
    )

__all__ = [
    "DIRECTORY_VARIABLE",
    "AnswerRedactor",
    "ForeignFileError",
    "Owner",
    "Place",
    "Secret",
    "check_owner",
    "cleaned_key",
    "config_directory",
    "data_directory",
    "file_path",
    "find_leaks",
    "find_secret",
    "forget",
    "keep",
    "keystore",
    "leaks_in",
    "make_directory",
    "make_private",
    "names_a_secret",
    "places_of",
    "redacted",
    "scan",
    "secrets_of_environment",
]
