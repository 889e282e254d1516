"""Which text a person gets: the one in their language, for their channel."""

from collections.abc import Sequence

from runtime.errors import Permanent
from runtime.spec.compiled import CompiledText


def choose_text(texts: Sequence[CompiledText], channel: str, locale: str) -> CompiledText:
    """Return the text for a channel and a locale: the exact one, then the nearest of its language, then the default.

    Among equals, one for this channel only comes before one for every channel, then the order of the spec counts.
    Raises Permanent when there is none for the channel, which validation prevents.
    """
    fitting = sorted((text for text in texts if text.channel in {"", channel}), key=lambda text: not text.channel)
    wanted = _tag(locale)
    while wanted:
        for text in fitting:
            if _tag(text.locale) == wanted:
                return text
        wanted = wanted.rpartition("-")[0]
    language = _tag(locale).partition("-")[0]
    related = [text for text in fitting if language and _tag(text.locale).partition("-")[0] == language]
    default = [text for text in fitting if not text.locale]
    for text in (*related, *default, *fitting):
        return text
    raise Permanent(f"No text of this send is for {channel}. Add one without a locale.")


def _tag(locale: str) -> str:
    """Return a language tag for comparing; databases hold fr_FR and fr-FR alike."""
    return locale.strip().replace("_", "-").partition(".")[0].lower()
