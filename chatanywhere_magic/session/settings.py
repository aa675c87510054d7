"""The options of a session as traits: what ``%config ChatSession.…`` shows and sets."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Final

import traitlets
from traitlets.config import Configurable

from ..context import REPLAY_MODES
from ..core import ConfigurationError, phrase, set_language, text
from ..providers import EFFORTS

MAX_TEMPERATURE: Final = 2.0
SHOWN_LENGTH: Final = 60
PRESET_OPTIONS: Final = ("system", "temperature", "max_tokens", "budget", "provider", "model")


class OptionError(traitlets.TraitError):
    """An option cannot have that value: traitlets' error, in one line that explains the option."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class _ProxyUrl(str):
    """A proxy's URL; its repr, which ``%config`` shows, hides the user and password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(re.sub(r"^(.*//)?.*@", r"\1***@", str(self), flags=re.DOTALL))


class Settings(Configurable):
    """The options, one trait each; the help of each says what it does and its default."""

    provider = traitlets.Any(
        "",
        help="The provider: a name (chatanywhere, openai, local, chatanywhere-web, or a registered one), a provider "
        "class, or an async generator function. Default: the first of these that is set up.",
    ).tag(config=True)
    model = traitlets.Unicode("", help="The model's name. Default: the provider's choice.").tag(config=True)
    aliases = traitlets.Dict(
        key_trait=traitlets.Unicode(),
        value_trait=traitlets.Unicode(),
        help='Short names for -m, such as {"fast": "openai/gpt-4o-mini"}: a model, or a provider\'s name, a slash and '
        "its model. Default: none.",
    ).tag(config=True)
    system = traitlets.Unicode("", help="The system prompt. Default: none.").tag(config=True)
    temperature = traitlets.Float(
        None,
        allow_none=True,
        min=0.0,
        max=MAX_TEMPERATURE,
        help="Sampling temperature, 0 to 2. Default: the model's own, none is sent.",
    ).tag(config=True)
    max_tokens = traitlets.Int(
        None, allow_none=True, min=1, help="Maximum tokens of a response. Default: the provider's limit."
    ).tag(config=True)
    effort = traitlets.Enum(
        ["", *EFFORTS],
        "",
        help="How much a reasoning model thinks: none, minimal, low, medium, high or xhigh; models differ in what they "
        "take. Default: the model's own.",
    ).tag(config=True)
    dialect = traitlets.Enum(
        ["auto", "chat", "responses"],
        "auto",
        help="The protocol of OpenAI-compatible servers: chat (chat completions), responses, or auto, which begins "
        "with chat and follows a server that asks for the other. Default: auto.",
    ).tag(config=True)
    presets = traitlets.Dict(
        help="Options to choose together in the panel or with chat.settings.use_preset, as "
        '{"teacher": {"system": "Ask back.", "temperature": 0.2}}: each sets system, temperature, max_tokens, budget, '
        "provider and model, as far as it names them. Default: none."
    ).tag(config=True)
    timeout = traitlets.Float(
        None,
        allow_none=True,
        help="Seconds for a whole response, 0 for no limit. Default: no limit, since long responses take long.",
    ).tag(config=True)
    connect_timeout = traitlets.Float(15.0, help="Seconds until there is a connection. Default: 15.").tag(config=True)
    idle_timeout = traitlets.Float(
        120.0, help="Seconds of silence after which a response is given up. Default: 120."
    ).tag(config=True)
    first_timeout = traitlets.Float(
        None,
        allow_none=True,
        help="Seconds until the first text of a response. Default: idle_timeout limits silence, and a server that "
        "keeps the connection alive without any text has 15 minutes.",
    ).tag(config=True)
    ca_bundle = traitlets.Unicode(
        "", help="A file of certificates to trust. Default: the system's, or what SSL_CERT_FILE names."
    ).tag(config=True)
    max_retries = traitlets.Int(
        2, min=0, help="Retries after a temporary failure, before the response has started. Default: 2."
    ).tag(config=True)
    proxy = traitlets.Unicode("", help="URL of an HTTP proxy. Default: the environment's (HTTPS_PROXY, NO_PROXY).").tag(
        config=True
    )
    footer = traitlets.Bool(default_value=True, help="Show provider, model, tokens and time below each response.").tag(
        config=True
    )
    reasoning = traitlets.Bool(
        default_value=True, help="Show the model's reasoning, folded, above its response. Default: True."
    ).tag(config=True)
    rich = traitlets.Bool(
        default_value=False,
        help="In a terminal, show formatted Markdown, a block at a time, if the package rich is installed. Default: "
        "False, the text as it arrives.",
    ).tag(config=True)

    def __init__(self, **options: Any) -> None:
        for name in options:
            if not self.has_trait(name):
                raise self._unknown(name)
        super().__init__(**options)

    def __setattr__(self, name: str, value: Any) -> None:
        # An option that is misspelt would be a new attribute, which nobody ever reads.
        if not name.startswith("_") and not hasattr(type(self), name):
            raise self._unknown(name)
        problem = ""
        try:
            super().__setattr__(name, value)
        except OptionError as caught:  # of a preset: in our words already
            problem = str(caught)
        except Exception as caught:
            # What is refused is asked for its repr, which may raise anything.
            is_refused = isinstance(caught, traitlets.TraitError) or (self.has_trait(name) and not _in_a_line(value))
            if not is_refused:
                raise
            about = self.traits()[name].help
            problem = text("error.session_value", name=name, value=_shown(value), help=about)
        if problem:
            raise OptionError(problem)

    def _unknown(self, name: str) -> ConfigurationError:
        close = get_close_matches(name, self.trait_names(config=True), n=3)
        hint = text("hint.did_you_mean", name=", ".join(close)) if close else ""
        return ConfigurationError(phrase("error.session_option", name=name, hint=hint))

    @property
    def api_key(self) -> None:
        """Not an option: keys cannot be set here; see ``%chat_login``."""

    @api_key.setter
    def api_key(self, _value: object) -> None:
        raise ConfigurationError(phrase("error.key_option"))

    prices = traitlets.Dict(
        key_trait=traitlets.Unicode(),
        value_trait=traitlets.Tuple(traitlets.Float(), traitlets.Float()),
        help='What models cost, as {"gpt-4o-mini": (0.15, 0.60)}: of a million tokens of prompt and of response. '
        "Default: the list prices of OpenAI's models.",
    ).tag(config=True)
    ask_above_rows = traitlets.Int(
        None, allow_none=True, min=0, help="Ask before a job that sends more requests than this. Default: never."
    ).tag(config=True)
    ask_above_cost = traitlets.Float(
        None, allow_none=True, min=0.0, help="Ask before a job that is estimated to cost more. Default: never."
    ).tag(config=True)
    language = traitlets.Enum(
        ["", "en", "ru", "zh"], "", help="Language of everything shown: en, ru or zh. Default: the system's."
    ).tag(config=True)
    budget = traitlets.Int(
        None,
        allow_none=True,
        min=1,
        help="Maximum tokens of a request; older turns are left out to stay below it. Default: the known limit of "
        "the model or the plan.",
    ).tag(config=True)
    context_budget = traitlets.Int(
        2000,
        min=100,
        help="Maximum tokens that the @names of one prompt add to it; files are sent whole. Default: 2000.",
    ).tag(config=True)
    secrets = traitlets.Enum(
        ["refuse", "ask", "allow"],
        "refuse",
        help="What to do if something that looks like a key would be sent: refuse, ask (in a cell) or allow. "
        "Default: refuse.",
    ).tag(config=True)
    summarise = traitlets.Bool(
        default_value=False,
        help="Have the model summarise the turns that are left out of a request, at the cost of further requests. "
        "Default: False, they are left out without a summary.",
    ).tag(config=True)
    persist = traitlets.Bool(
        default_value=True,
        help="Keep conversations on disk, once the extension is loaded. Default: True.",
    ).tag(config=True)
    resume = traitlets.Enum(
        ["offer", "always", "never"],
        "offer",
        help="What to do with this notebook's last conversation when the extension is loaded: mention it (offer), "
        "continue it (always) or nothing (never). Default: offer.",
    ).tag(config=True)
    agent = traitlets.Bool(
        False,  # noqa: FBT003 - the trait's default
        help="Whether the model may look at this kernel's variables, cells and files, and ask to run code, as with "
        "--agent. Default: False.",
    ).tag(config=True)
    max_steps = traitlets.Int(
        20, min=1, help="How often a model may call tools in one turn; %chat_continue goes on after that. Default: 20."
    ).tag(config=True)
    max_turn_tokens = traitlets.Int(
        None,
        allow_none=True,
        min=1,
        help="Tokens of one turn, all its requests counted, after which no more tools are called. Default: no limit.",
    ).tag(config=True)
    max_turn_seconds = traitlets.Float(
        None,
        allow_none=True,
        min=0.0,
        help="Seconds of one turn, without those for which you are waited for, after which no more tools are called. "
        "Default: no limit.",
    ).tag(config=True)
    replay = traitlets.Enum(
        list(REPLAY_MODES),
        "off",
        help="Reuse a recorded response to the same request: off; record (ask, and warn if the response is not "
        "saved); replay (if there is one, else ask); replay-only (never ask). Default: off.",
    ).tag(config=True)

    def use_preset(self, name: str) -> None:
        """Set the options of the preset `name`, and leave the others unchanged.

        Raises
        ------
        ConfigurationError
            If there is no such preset.
        """
        if name not in self.presets:
            raise ConfigurationError(phrase("error.preset_unknown", name=name, known=", ".join(self.presets) or "–"))
        for option, value in self.presets[name].items():
            setattr(self, option, value)

    @property
    def preset(self) -> str:
        """The first preset that matches the current options; ``""`` if none does."""
        for name, options in self.presets.items():
            if all(getattr(self, option) == value for option, value in options.items()):
                return str(name)
        return ""

    @property
    def network(self) -> dict[str, Any]:
        """Proxy and certificates, as the methods of a provider take them."""
        return {"proxy": self.proxy or None, "ca_bundle": self.ca_bundle}

    @property
    def requests(self) -> dict[str, Any]:
        """What every request is made with, as :meth:`create_delta_generator` of a provider takes it."""
        return {
            **self.network,
            "timeout": self.timeout,
            "connect_timeout": self.connect_timeout,
            "first_timeout": self.first_timeout,
            "idle_timeout": self.idle_timeout,
            **({"dialect": self.dialect} if self.dialect != "auto" else {}),
        }

    @traitlets.validate("proxy")
    def _proxy_hidden(self, proposal: dict[str, Any]) -> str:
        return _ProxyUrl(proposal["value"])

    @traitlets.validate("presets")
    def _presets_checked(self, proposal: dict[str, Any]) -> dict[str, dict[str, Any]]:
        for name, options in proposal["value"].items():
            if not isinstance(name, str) or not isinstance(options, dict) or not options:
                raise OptionError(text("error.preset", name=name, options=", ".join(PRESET_OPTIONS)))
            for option, value in options.items():
                if option not in PRESET_OPTIONS or not self._takes(option, value):
                    raise OptionError(
                        text(
                            "error.preset_option",
                            name=name,
                            option=option,
                            value=_shown(value),
                            options=", ".join(PRESET_OPTIONS),
                        )
                    )
        return {name: dict(options) for name, options in proposal["value"].items()}

    def _takes(self, option: str, value: object) -> bool:
        if option == "provider":  # anything but a name cannot be written down
            return isinstance(value, str)
        try:
            self.traits()[option]._validate(self, value)  # noqa: SLF001 - nothing public validates without setting
        except traitlets.TraitError:
            return False
        return True

    @traitlets.observe("language")
    def _language_changed(self, change: dict[str, Any]) -> None:
        set_language(change["new"])


# %config and configuration files go by the name of the class, and people by what they set: %config ChatSession.model.
Settings.__name__ = "ChatSession"

OPTIONS: Final = frozenset(Settings.class_trait_names(config=True))


def _shown(value: object) -> str:
    """Return a value as an error names it: in one short line, without keys."""
    from ..keys import redacted  # when something is wrong, not with the extension

    shown = redacted(_in_a_line(value))
    return shown if 0 < len(shown) <= SHOWN_LENGTH else type(value).__name__


def _in_a_line(value: object) -> str:
    """Return what a value says of itself; ``""`` if that raises."""
    try:
        return " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - it is anybody's method
        return ""
