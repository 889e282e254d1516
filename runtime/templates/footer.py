"""What stands under every mail: who sends it, and the way out where there is one."""

from typing import NamedTuple

from runtime.templates.formats import locale_of

_UNSUBSCRIBE = {
    "ar": "إلغاء الاشتراك",
    "cs": "Odhlásit odběr",
    "da": "Afmeld",
    "de": "Abmelden",
    "el": "Κατάργηση εγγραφής",
    "en": "Unsubscribe",
    "es": "Cancelar la suscripción",
    "fi": "Peruuta tilaus",
    "fr": "Se désabonner",
    "he": "הסרה מרשימת התפוצה",
    "hu": "Leiratkozás",
    "id": "Berhenti berlangganan",
    "it": "Annulla l'iscrizione",
    "ja": "配信停止",
    "ko": "수신 거부",
    "nb": "Meld deg av",
    "nl": "Afmelden",
    "no": "Meld deg av",
    "pl": "Wypisz się",
    "pt": "Cancelar a inscrição",
    "ro": "Dezabonare",
    "ru": "Отписаться",
    "sv": "Avsluta prenumerationen",
    "tr": "Abonelikten çık",  # noqa: RUF001
    "uk": "Відписатися",
    "vi": "Hủy đăng ký",
    "zh": "退订",
}


class Footer(NamedTuple):
    """The footer of one mail; what is empty is left out."""

    sender: str
    label: str
    address: str

    @property
    def text(self) -> str:
        """Return it as the end of a plain text."""
        lines = [self.sender, f"{self.label}: {self.address}" if self.address else ""]
        said = "\n".join(filter(None, lines))
        return f"\n\n-- \n{said}" if said else ""


def footer_of(sender: str, unsubscribe: str, locale: str) -> Footer:
    """Return the footer in the language of a locale, English where it is not known."""
    language = locale_of(locale).language
    return Footer(sender, _UNSUBSCRIBE.get(language, _UNSUBSCRIBE["en"]), unsubscribe)
