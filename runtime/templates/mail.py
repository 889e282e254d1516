"""The page of a mail: MJML for what mail readers need, compiled once, with the parts of a text in its slots."""

from collections.abc import Iterable
from typing import NamedTuple

from mjml import mjml2html

from runtime.templates.marks import Marks, Restored
from runtime.templates.part import Part
from runtime.templates.part_html import Setting, parts_to_mjml
from runtime.templates.stylesheet import stylesheet
from runtime.templates.theme import FONT, LIGHT

_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku", "ps", "sd", "ug", "ur", "yi"})
_PADDING = "&#847;&zwnj;&nbsp;" * 40
"""Behind the preheader, so that inboxes do not go on with the first words of the mail."""
SUBJECT, FOOTER = "_subject", "_footer"
"""Names of a render that no author can write."""
_FOOTER = (
    f"{{% if {FOOTER}.sender %}}{{{{ {FOOTER}.sender }}}}{{% endif %}}"
    f"{{% if {FOOTER}.sender and {FOOTER}.address %}} &nbsp;·&nbsp; {{% endif %}}"
    f'{{% if {FOOTER}.address %}}<a class="m" href="{{{{ {FOOTER}.address }}}}" '
    f'style="color:{LIGHT.muted};text-decoration:underline">{{{{ {FOOTER}.label }}}}</a>{{% endif %}}'
)


class Direction(NamedTuple):
    """How a language is written, as HTML says it."""

    language: str
    direction: str


def direction_of(locale: str) -> Direction:
    """Return the language of a text and the way it is written; a text without a locale may be in any."""
    if not locale:
        return Direction("und", "auto")
    return Direction(locale, "rtl" if locale.partition("-")[0] in _RIGHT_TO_LEFT else "ltr")


def mail_html(parts: Iterable[Part], *, preheader: str, locale: str) -> Restored:
    """Return a mail as HTML that is still a Jinja2 template, and the pieces that MJML lost (none, unless it is broken).

    `preheader` is a finished template of HTML. The result prints `_subject` and `_footer` beside the author's names.
    """
    said = direction_of(locale)
    setting = Setting(Marks(), "right" if said.direction == "rtl" else "left")
    slots, way = setting.slots, "rtl" if setting.start == "right" else "ltr"
    preview = f"<mj-preview>{slots.add(preheader + _PADDING)}</mj-preview>" if preheader else ""
    source = f"""<mjml lang="{said.language}" dir="{said.direction}"><mj-head>
<mj-title>{slots.add(f"{{{{ {SUBJECT} }}}}")}</mj-title>{preview}
<mj-raw><meta name="color-scheme" content="light dark" /><meta name="supported-color-schemes" content="light dark" />
<meta name="x-apple-disable-message-reformatting" /></mj-raw>
<mj-attributes>
<mj-all font-family="{FONT}" />
<mj-text color="{LIGHT.words}" font-size="16px" line-height="26px" />
<mj-button background-color="{LIGHT.accent}" color="{LIGHT.on_accent}" border-radius="8px" font-size="16px"
 font-weight="600" line-height="20px" inner-padding="14px 26px" />
</mj-attributes>
<mj-style>{stylesheet()}</mj-style></mj-head>
<mj-body width="600px" background-color="{LIGHT.page}">
<mj-wrapper padding="40px 16px 40px" css-class="page">
<mj-section css-class="card" background-color="{LIGHT.card}" border="1px solid {LIGHT.line}" border-radius="14px"
 padding="36px 40px 40px" direction="{way}">
<mj-column direction="{way}">{parts_to_mjml(parts, setting)}</mj-column></mj-section>
<mj-section padding="20px 0 0"><mj-column>
<mj-text align="center" font-size="13px" line-height="20px" padding="0" color="{LIGHT.muted}" css-class="m"
>{slots.add(_FOOTER)}</mj-text></mj-column></mj-section>
</mj-wrapper></mj-body></mjml>"""
    # Without `fonts`, MJML would let every mail fetch web fonts from a third party.
    return slots.restore(mjml2html(source, fonts={}))
