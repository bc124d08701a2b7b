"""Places: countries, the Union's Member States, subdivisions, and the localities that rules name.

A rule asks for place *tokens*: ``US``, ``EU``, ``FR``, ``US-OR``, ``US-OR/Portland``. A locality stands under
its subdivision, so that the two Portlands stay apart. `tokens` gives every token that a place could have.

The tables are ours: country codes after ISO 3166-1, subdivisions after ISO 3166-2 for the four countries
whose parts have rules of their own, Member States after Article 52 TEU. The gazetteer of localities lists
what rules name and the larger cities; it serves the lint of packs and the detection of misspellings, and is
no complete list.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final

__all__ = [
    "COUNTRIES",
    "ELSEWHERE",
    "EU_MEMBERS",
    "GAZETTEER",
    "SUBDIVISIONS",
    "country_of",
    "country_tokens",
    "is_subdivision",
    "is_token",
    "locality_key",
    "outside",
    "tokens",
]

# fmt: off
_ISO_3166_1: Final = frozenset((
    "AD", "AE", "AF", "AG", "AI", "AL", "AM", "AO", "AQ", "AR", "AS", "AT", "AU", "AW", "AX", "AZ", "BA",
    "BB", "BD", "BE", "BF", "BG", "BH", "BI", "BJ", "BL", "BM", "BN", "BO", "BQ", "BR", "BS", "BT", "BV",
    "BW", "BY", "BZ", "CA", "CC", "CD", "CF", "CG", "CH", "CI", "CK", "CL", "CM", "CN", "CO", "CR", "CU",
    "CV", "CW", "CX", "CY", "CZ", "DE", "DJ", "DK", "DM", "DO", "DZ", "EC", "EE", "EG", "EH", "ER", "ES",
    "ET", "FI", "FJ", "FK", "FM", "FO", "FR", "GA", "GB", "GD", "GE", "GF", "GG", "GH", "GI", "GL", "GM",
    "GN", "GP", "GQ", "GR", "GS", "GT", "GU", "GW", "GY", "HK", "HM", "HN", "HR", "HT", "HU", "ID", "IE",
    "IL", "IM", "IN", "IO", "IQ", "IR", "IS", "IT", "JE", "JM", "JO", "JP", "KE", "KG", "KH", "KI", "KM",
    "KN", "KP", "KR", "KW", "KY", "KZ", "LA", "LB", "LC", "LI", "LK", "LR", "LS", "LT", "LU", "LV", "LY",
    "MA", "MC", "MD", "ME", "MF", "MG", "MH", "MK", "ML", "MM", "MN", "MO", "MP", "MQ", "MR", "MS", "MT",
    "MU", "MV", "MW", "MX", "MY", "MZ", "NA", "NC", "NE", "NF", "NG", "NI", "NL", "NO", "NP", "NR", "NU",
    "NZ", "OM", "PA", "PE", "PF", "PG", "PH", "PK", "PL", "PM", "PN", "PR", "PS", "PT", "PW", "PY", "QA",
    "RE", "RO", "RS", "RU", "RW", "SA", "SB", "SC", "SD", "SE", "SG", "SH", "SI", "SJ", "SK", "SL", "SM",
    "SN", "SO", "SR", "SS", "ST", "SV", "SX", "SY", "SZ", "TC", "TD", "TF", "TG", "TH", "TJ", "TK", "TL",
    "TM", "TN", "TO", "TR", "TT", "TV", "TW", "TZ", "UA", "UG", "UM", "US", "UY", "UZ", "VA", "VC", "VE",
    "VG", "VI", "VN", "VU", "WF", "WS", "YE", "YT", "ZA", "ZM", "ZW",
))
# fmt: on
PLACEHOLDERS: Final = frozenset({"EU-X", "EU-Y"})
"""A Member State with (`EU-X`) and one without (`EU-Y`) a national law that opts in under Article 5(5)."""

COUNTRIES: Final = _ISO_3166_1 | PLACEHOLDERS

# fmt: off
EU_MEMBERS: Final = frozenset((
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT",
    "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
))
# fmt: on

ELSEWHERE: Final = "ZZ"
"""The token of a place that no rule names: user-assigned in ISO 3166-1, so it is nobody's code."""

_PART_OF: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        # Territories with a country code of their own in which the law of the whole applies as well: the
        # outermost regions of the Union (Article 355(1) TFEU) and Aaland (355(4)), and the territories of the
        # United States.
        **dict.fromkeys(("GF", "GP", "MF", "MQ", "RE", "YT"), ("FR",)),
        "AX": ("FI",),
        **{code: ("US", f"US-{code}") for code in ("AS", "GU", "MP", "PR", "UM", "VI")},
    }
)

SUBDIVISIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        country: frozenset(f"{country}-{part}" for part in parts.split())
        for country, parts in {
            "US": "AK AL AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP MS MT "
            "NC ND NE NH NJ NM NV NY OH OK OR PA PR RI SC SD TN TX UM UT VA VI VT WA WI WV WY",
            "CA": "AB BC MB NB NL NS NT NU ON PE QC SK YT",
            # The four nations only: a district code such as GB-LND would keep the rules of its nation silent.
            "GB": "ENG NIR SCT WLS",
            "AU": "ACT NSW NT QLD SA TAS VIC WA",
        }.items()
    }
)
_SUBDIVISION: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")

GAZETTEER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "US-AL": ("Birmingham", "Huntsville", "Mobile", "Montgomery"),
        "US-AZ": ("Mesa", "Phoenix", "Tucson"),
        "US-CA": (
            *("Alameda", "Alameda County", "Berkeley", "Davis", "Fresno", "Long Beach", "Los Angeles"),
            *("Los Angeles County", "Oakland", "Sacramento", "San Diego", "San Francisco", "San Jose"),
            *("Santa Cruz", "South San Francisco"),
        ),
        "US-CO": ("Aurora", "Boulder", "Colorado Springs", "Denver"),
        "US-DC": ("Washington",),
        "US-FL": ("Jacksonville", "Miami", "Orlando", "Tampa"),
        "US-GA": ("Atlanta", "Augusta", "Savannah"),
        "US-IL": ("Aurora", "Chicago", "Cook County", "Peoria", "Rockford", "Springfield"),
        "US-IN": ("Fort Wayne", "Indianapolis"),
        "US-LA": ("Baton Rouge", "New Orleans", "Orleans Parish", "Shreveport"),
        "US-MA": (
            *("Boston", "Brookline", "Cambridge", "Easthampton", "Lowell", "Northampton", "Somerville"),
            *("Springfield", "Worcester"),
        ),
        "US-MD": ("Annapolis", "Baltimore", "Baltimore County", "Montgomery County"),
        "US-ME": ("Augusta", "Bangor", "Lewiston", "Portland", "South Portland"),
        "US-MI": ("Ann Arbor", "Detroit", "Grand Rapids"),
        "US-MN": ("Duluth", "Hennepin County", "Minneapolis", "Rochester", "Saint Paul"),
        "US-MO": ("Kansas City", "Saint Louis", "Springfield"),
        "US-MS": ("Gulfport", "Jackson"),
        "US-MT": ("Billings", "Bozeman", "Helena", "Missoula"),
        "US-NC": ("Charlotte", "Durham", "Raleigh"),
        "US-NH": ("Concord", "Manchester", "Nashua"),
        "US-NJ": ("Jersey City", "Newark", "Trenton"),
        "US-NM": ("Albuquerque", "Santa Fe"),
        "US-NV": ("Las Vegas", "Reno"),
        "US-NY": ("Albany", "Buffalo", "New York", "Rochester", "Syracuse"),
        "US-OH": ("Cincinnati", "Cleveland", "Columbus", "Toledo"),
        "US-OR": ("Beaverton", "Bend", "Eugene", "Multnomah County", "Portland", "Salem"),
        "US-PA": ("Allegheny County", "Philadelphia", "Pittsburgh"),
        "US-TN": ("Memphis", "Nashville"),
        "US-TX": ("Austin", "Dallas", "El Paso", "Fort Worth", "Houston", "San Antonio"),
        "US-UT": ("Provo", "Salt Lake City"),
        "US-VA": ("Alexandria", "Norfolk", "Richmond", "Virginia Beach"),
        "US-VT": ("Burlington", "Montpelier"),
        "US-WA": ("Bellevue", "King County", "Olympia", "Seattle", "Spokane", "Tacoma"),
        "US-WI": ("Madison", "Milwaukee"),
        "CA-AB": ("Calgary", "Edmonton"),
        "CA-BC": ("Vancouver", "Victoria"),
        "CA-MB": ("Winnipeg",),
        "CA-ON": ("Hamilton", "London", "Ottawa", "Toronto"),
        "CA-QC": ("Montreal", "Quebec"),
        "GB-ENG": ("Birmingham", "Leeds", "Liverpool", "London", "Manchester"),
        "GB-NIR": ("Belfast",),
        "GB-SCT": ("Edinburgh", "Glasgow"),
        "GB-WLS": ("Cardiff", "Swansea"),
        "AU-NSW": ("Newcastle", "Sydney"),
        "AU-QLD": ("Brisbane",),
        "AU-VIC": ("Geelong", "Melbourne"),
        "AU-WA": ("Perth",),
    }
)


def country_of(subdivision: str) -> str:
    """The ISO 3166-1 code that a subdivision begins with."""
    return subdivision.partition("-")[0]


def is_subdivision(code: str) -> bool:
    """Whether `code` is a subdivision: one of ours where we have the table, else of the right form in a real
    country."""
    table = SUBDIVISIONS.get(country_of(code))
    if table is not None:
        return code in table
    return bool(_SUBDIVISION.fullmatch(code)) and country_of(code) in _ISO_3166_1


def locality_key(name: str) -> str:
    """The form in which two spellings of a locality's name are the same.

    Case, accents, full stops and spacing do not tell places apart, nor does "City of": ``ST. PAUL`` and
    ``Saint Paul`` are one.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()
    words = re.sub(r"[^\w]+", " ", plain).split()
    text = " ".join("saint" if word == "st" else word for word in words)
    text = re.sub(r"^(city and county|city|town|municipality) of ", "", text)
    return re.sub(r"^county of (.+)$", r"\1 county", text)


def country_tokens(country: str) -> frozenset[str]:
    """The tokens of one country: its own, ``EU`` for a Member State, and that of the whole it is part of.

    A Member State counts as ``EU-Y`` too: no opt-in law was verified for any of them, and without one no
    exception exists.
    """
    own = {country, *_PART_OF.get(country, ())}
    if own & PLACEHOLDERS:
        own.add("EU")
    elif own & EU_MEMBERS:
        own |= {"EU", "EU-Y"}
    return frozenset(own)


def tokens(
    countries: Collection[str] | None,
    subdivisions: Collection[str] | None,
    localities: Collection[str] | None,
    mentioned: Iterable[str],
) -> frozenset[str]:
    """Every place token that a place could have, among those that rules mention; never empty.

    Each of the first three is the set of what that part could be, None where it is unknown. A country that is
    known gives its tokens whether or not a rule mentions them; `ELSEWHERE` stands for every country that no
    rule mentions. A known subdivision tells the country, so the two are held against each other.
    """
    if countries is None and subdivisions is not None:
        countries = {country_of(subdivision) for subdivision in subdivisions}
    anywhere = countries is None
    found = {ELSEWHERE} if countries is None else set().union(*map(country_tokens, countries))
    # A territory such as Puerto Rico is one subdivision of its whole; it does not open the others.
    whole = frozenset(() if countries is None else countries) - _PART_OF.keys()
    if subdivisions is not None:
        found |= {s for s in subdivisions if country_of(s) in whole}
    names = None if localities is None else {locality_key(name) for name in localities}
    for token in mentioned:
        subdivision, _, locality = token.partition("/")
        if not _is_part(subdivision):
            possible = anywhere
        else:
            possible = subdivision in found or (subdivisions is None and (anywhere or country_of(subdivision) in whole))
        if possible and (not locality or names is None or locality_key(locality) in names):
            found.add(token)
    return frozenset(found)


def outside(
    countries: Collection[str] | None,
    subdivisions: Collection[str] | None,
    localities: Collection[str] | None,
    asked: Iterable[str],
) -> frozenset[str]:
    """Those of the tokens `asked` outside of which the place could lie; the first three as for `tokens`.

    A place lies certainly within ``US-OR`` if it could be in no other country and in no other subdivision.
    """
    if countries is None and subdivisions is not None:
        countries = {country_of(subdivision) for subdivision in subdivisions}
    possible = () if countries is None else tuple(map(country_tokens, countries))
    names = None if localities is None else {locality_key(name) for name in localities}
    found: set[str] = set()
    for token in asked:
        part, _, locality = token.partition("/")
        within = bool(possible) and all(part in tokens for tokens in possible)
        if not within and _is_part(part):
            within = set(countries or ()) == {country_of(part)} and set(subdivisions or ()) == {part}
        if not within or (locality and names != {locality_key(locality)}):
            found.add(token)
    return frozenset(found)


def is_token(token: str) -> bool:
    """Whether a rule may ask for `token`: a country, ``EU``, a subdivision of our tables, or a listed
    locality."""
    subdivision, slash, locality = token.partition("/")
    if slash:
        return locality in GAZETTEER.get(subdivision, ())
    return token == "EU" or token in COUNTRIES or token in SUBDIVISIONS.get(country_of(token), ())


def _is_part(token: str) -> bool:
    return "-" in token and token not in PLACEHOLDERS
