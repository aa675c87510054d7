"""``%chat_login``, ``%chat_logout`` and ``%chat_status``: keys and the current setup."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import StdinNotImplementedError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ..core import ChatError, ChatInterrupted, ConfigurationError, NotFoundError, UsageError, phrase, text
from ..keys import Secret, cleaned_key, config_directory, data_directory, file_path, forget, keep, places_of
from ..providers import forget_lessons, get_provider, list_lessons, provider_names
from .guard import looks_like_key
from .models import waited_for
from .options import Namespace, Option, Options, takes
from .tables import show_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from ..keys import Owner, Place
    from ..providers import Provider
    from ..session import ChatSession

_LOGIN: Final = Options(
    "chat_login",
    "about.chat_login",
    Option(("--file",), "help.login_file"),
    Option(("--session",), "help.login_session"),
    Option(("--unchecked",), "help.login_unchecked"),
    words=("[PROVIDER]",),
)
_LOGOUT: Final = Options("chat_logout", "about.chat_logout", words=("[PROVIDER]",))
_STATUS: Final = Options("chat_status", "about.chat_status", Option(("--forget",), "help.status_forget"))
MAX_SHOWN: Final = 20
"""How many models are listed with what was learned of them."""
_PACKAGES: Final = (
    "chatanywhere-magic",
    "ipython",
    "ipykernel",
    "jupyterlab",
    "ipywidgets",
    "aiohttp",
    "xllamacpp",
    "keyring",
)


@magics_class
class LoginMagics(Magics):
    """The magics for keys and the current setup."""

    def __init__(self, shell: InteractiveShell, session: ChatSession) -> None:
        super().__init__(shell)
        self.session = session

    @no_var_expand  # what a variable holds has no place on this line either
    @line_magic
    @takes(_LOGIN)
    def chat_login(self, given: Namespace) -> None:
        """Ask for a provider's key in a hidden prompt, check it, and save it."""
        provider, owner = self._owner(given.words)
        if given.session and given.file:
            raise UsageError(phrase("error.options_exclude", first="--session", second="--file"))
        wanted: Sequence[Place] = ["session"] if given.session else ["file"] if given.file else _PLACES
        secret = _typed(owner)
        checked = "" if given.unchecked else self._checked(provider, secret)
        place, passed = _kept(owner, secret, wanted)
        self.session.catalog.forget()
        kept = text("notice.key_kept", provider=provider.name, host=_host(owner), place=_place(place))
        lines = [*passed, kept, checked]
        if places_of(owner)[0] != place:
            lines.append(text("notice.key_shadowed", place=_place(places_of(owner)[0], owner)))
        sys.stdout.write("\n".join(filter(None, lines)) + "\n")

    @no_var_expand
    @line_magic
    @takes(_LOGOUT)
    def chat_logout(self, given: Namespace) -> None:
        """Delete a provider's key saved by ``%chat_login``."""
        provider, owner = self._owner(given.words)
        gone = forget(owner)
        self.session.catalog.forget()
        if gone:
            places = ", ".join(_place(place) for place in gone)
            lines = [text("notice.key_forgotten", provider=provider.name, host=_host(owner), places=places)]
        else:
            lines = [text("notice.no_key_kept", provider=provider.name, host=_host(owner))]
        if "environment" in places_of(owner):
            lines.append(text("notice.key_in_environment", variable=owner.variable))
        sys.stdout.write("\n".join(lines) + "\n")

    @line_magic
    @takes(_STATUS)
    def chat_status(self, given: Namespace) -> None:
        """Show the provider and model in use, where each key comes from, what was learned, versions and directories."""
        if given.forget:
            sys.stdout.write(text("notice.lessons_forgotten", count=forget_lessons()) + "\n")
            return
        rows: list[list[str]] = []
        try:
            chosen, model = self.session.catalog.answering()
        except ConfigurationError as error:
            rows.append([text("label.provider"), str(error)])
        else:
            rows.append([text("label.provider"), f"{chosen.name} · {model or text('label.own_choice')}"])
            if chosen.address():
                rows.append([text("label.address"), _without_user(chosen.address())])
        rows += [[text("label.key", provider=name), _key_state(name)] for name in provider_names()]
        rows += _learned()
        turns = len(self.session.conversation.visible)
        rows.append([text("label.conversation"), text("label.turns", count=turns, id=self.session.conversations.id)])
        rows.append([text("label.data"), str(data_directory())])
        rows.append([text("label.settings"), str(config_directory())])
        installed = [f"{package} {number}" for package in _PACKAGES if (number := _version(package))]
        rows.append([text("label.versions"), ", ".join([f"Python {sys.version.split()[0]}", *installed])])
        show_table(["", ""], rows)

    def _owner(self, words: list[str]) -> tuple[Provider, Owner]:
        """Return the named provider and the owner of its key."""
        name = words[0] if words else ""
        if looks_like_key(name):
            raise UsageError(phrase("error.key_typed", login=_LOGIN.magic))
        provider = get_provider(name) if name else self._usual()
        owner = getattr(provider, "key_owner", None)
        if owner is None:
            raise UsageError(phrase("error.no_key_needed", provider=provider.name))
        return provider, owner()

    def _usual(self) -> Provider:
        """Return the provider to log in at where none is named: the session's, else ChatAnywhere."""
        if self.session.settings.provider:
            return self.session.catalog.provider()
        return get_provider("chatanywhere")

    def _checked(self, provider: Provider, secret: Secret) -> str:
        """Check the key by requesting the list of models, and return the result in words."""
        try:
            names = waited_for(self.session.catalog.try_key(provider, secret))
        except NotFoundError:  # some servers have no such list, and say so only to those they know
            return text("notice.key_unchecked")
        lists: Any = getattr(provider, "lists_to_anybody", None)
        if lists is None or waited_for(self.session.engine.submit(lists(**self.session.settings.network))):
            return text("notice.list_is_public", count=len(names))
        return text("notice.key_checked", count=len(names))


_PLACES: Final[tuple[Place, ...]] = ("keyring", "file", "session")
"""Where a key is kept if nobody says where: in the first of them that there is."""


def _kept(owner: Owner, secret: Secret, places: Sequence[Place]) -> tuple[Place, list[str]]:
    """Keep the key in the first of `places` that can, and return it with a line about each one before."""
    *others, last = places
    passed: list[str] = []
    for place in others:
        with suppress(ConfigurationError):
            keep(owner, secret, place)
            return place, passed
        passed.append(text("notice.place_passed", place=_place(place)))
    keep(owner, secret, last)
    return last, passed


def _typed(owner: Owner) -> Secret:
    """Ask for a key, which is not shown while it is typed, and is in no history."""
    import getpass  # its function is looked up in it: a kernel puts its own in that place

    question = text("prompt.key", provider=owner.provider, host=_host(owner))
    try:
        with warnings.catch_warnings():
            # It would warn, and then show what is typed.
            warnings.simplefilter("error", getpass.GetPassWarning)
            typed = cleaned_key(getpass.getpass(question))
    except (StdinNotImplementedError, getpass.GetPassWarning, EOFError):
        pass
    except KeyboardInterrupt:
        raise ChatInterrupted(text("notice.no_key_typed")) from None
    else:
        if not typed:
            raise UsageError(phrase("notice.no_key_typed"))
        return Secret(typed, text("label.what_was_typed"))
    raise ConfigurationError(phrase("error.cannot_ask", variable=owner.variable))


def _host(owner: Owner) -> str:
    return owner.entry.partition("://")[2]


def _place(place: Place, owner: Owner | None = None) -> str:
    """Return what a place is called."""
    if place == "environment":
        return owner.variable if owner else text("label.environment")
    if place == "file":
        return str(file_path())
    return text("key.keyring") if place == "keyring" else text("key.session")


def _key_state(name: str) -> str:
    """Say where the key of a provider comes from, or that there is none; never the key."""
    try:
        provider: Any = get_provider(name)
        owner: Owner | None = provider.key_owner() if hasattr(provider, "key_owner") else None
        if owner is None:
            return text("label.no_key_needed")
        places = places_of(owner)
    except ChatError as error:
        return str(error)
    if not places:
        return text("label.no_key", host=_host(owner), provider=name)
    return f"{_place(places[0], owner)} → {_host(owner)}"


def _learned() -> list[list[str]]:
    """Return a row for each model with what was learned of it, the latest first."""
    places: dict[tuple[str, str, str], list[str]] = {}
    dates: dict[tuple[str, str, str], str] = {}
    for lesson in reversed(list_lessons()):
        without = text("lesson.without", name=lesson.parameter)
        shown = f"{lesson.parameter} → {lesson.instead}" if lesson.instead else without
        places.setdefault(lesson.place, []).append(shown)
        dates.setdefault(lesson.place, lesson.date)
    return [
        [
            text("label.lessons", model=model or provider),
            f"{', '.join(learned)} ({address.partition('://')[2]}, {dates[provider, address, model]})",
        ]
        for (provider, address, model), learned in [*places.items()][:MAX_SHOWN]
    ]


def _without_user(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and rarely needed

    try:
        return version(package)
    except PackageNotFoundError:
        return ""
