# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure Speech's names of languages: a language and where it is spoken (BCP 47), of which agents know the language."""

_COUNTRIES = {
    "ar": "AE",
    "bg": "BG",
    "ca": "ES",
    "cs": "CZ",
    "da": "DK",
    "de": "DE",
    "el": "GR",
    "en": "US",
    "es": "ES",
    "et": "EE",
    "fi": "FI",
    "fr": "FR",
    "he": "IL",
    "hi": "IN",
    "hr": "HR",
    "hu": "HU",
    "id": "ID",
    "it": "IT",
    "ja": "JP",
    "ko": "KR",
    "lt": "LT",
    "lv": "LV",
    "nb": "NO",
    "nl": "NL",
    "no": "NO",
    "pl": "PL",
    "pt": "BR",
    "ro": "RO",
    "ru": "RU",
    "sk": "SK",
    "sl": "SI",
    "sv": "SE",
    "th": "TH",
    "tr": "TR",
    "uk": "UA",
    "vi": "VN",
    "zh": "CN",
}
"""Where a language is spoken that nobody says more about; `language = "en-GB"` in the service's table says more."""


def locale_of(language: str) -> str:
    """`en-US` for `en`; what is a locale already, or unknown, stays as it is."""
    country = _COUNTRIES.get(language)
    return language if country is None else f"{'nb' if language == 'no' else language}-{country}"


def language_of(locale: str) -> str:
    """`en` for `en-US`."""
    return locale.partition("-")[0].lower()
