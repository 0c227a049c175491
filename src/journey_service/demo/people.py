"""Customers of the demo: names, addresses and phone numbers that belong to no real person."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

_DOMAINS: Final = ("example.com", "example.net", "example.org", "mail.example", "post.example")
# Letters with a two-letter spelling in email addresses; other letters lose their accents.
_SPELLED: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


@dataclass(frozen=True)
class NamePool:
    """Names that are common in a city, and its phone numbers reserved for fiction; `#` is any digit."""

    given: Sequence[str]
    family: Sequence[str]
    numbers: Sequence[str]


@dataclass(frozen=True)
class DemoPerson:
    """Profile of a customer."""

    customer_id: int
    name: str
    first_name: str
    email: str | None
    phone: str | None
    consents: dict[str, str]


def draw_person(random: Random, names: NamePool, customer_id: int) -> DemoPerson:
    """Draws a profile."""
    given, family = random.choice(names.given), random.choice(names.family)
    email = f"{_plain(given)}.{_plain(family)}{customer_id}@{random.choice(_DOMAINS)}"
    pattern = random.choice(names.numbers)
    phone = "".join(str(random.randrange(10)) if each == "#" else each for each in pattern)
    has_email, has_phone = random.random(), random.random()
    return DemoPerson(
        customer_id,
        f"{given} {family}",
        given,
        email if has_email < 0.9 else None,  # noqa: PLR2004  # share of people with an email address
        phone if has_phone < 0.94 else None,  # noqa: PLR2004  # share of people with a phone number
        {
            channel: random.choices(("granted", "withdrawn"), (9, 1))[0]
            for channel, share in (("email", 0.65), ("sms", 0.4), ("call", 0.3), ("offer", 0.35))
            if random.random() < share
        },
    )


def _plain(name: str) -> str:
    spelled = unicodedata.normalize("NFKD", name.lower().translate(_SPELLED))
    return "".join(each for each in spelled if each.isascii() and each.isalpha())


BERLIN: Final = NamePool(
    given=(
        *("Lena", "Anna", "Marie", "Sophie", "Johanna", "Katharina", "Julia", "Clara", "Emma", "Mia"),
        *("Greta", "Elif", "Aylin", "Zeynep", "Agnieszka", "Chiara", "Camille", "Sabine", "Petra"),
        *("Monika", "Renate", "Lukas", "Jonas", "Felix", "Paul", "Maximilian", "Jürgen", "Björn"),
        *("Mehmet", "Emre", "Tomasz"),
    ),
    family=(
        *("Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Meyer", "Wagner", "Becker", "Schulz"),
        *("Hoffmann", "Koch", "Richter", "Klein", "Wolf", "Schröder", "Neumann", "Schwarz", "Krüger"),
        *("Großmann", "Lange", "Şahin", "Kaya", "Demir", "Kowalska", "Nowak", "Rossi", "Laurent"),
        *("Nguyen", "Petersen", "Böhm"),
    ),
    # Numbers that the Bundesnetzagentur reserves for film and television.
    numbers=("+493023125###", "+4917139200##", "+49176040690##"),
)
NEW_YORK: Final = NamePool(
    given=(
        *("Olivia", "Emily", "Sarah", "Jessica", "Ashley", "Grace", "Hannah", "Maria", "Sofia"),
        *("Priya", "Mei", "Aisha", "Naomi", "Rachel", "Denise", "Carmen", "James", "Michael", "David"),
        *("Daniel", "Anthony", "Marcus", "Luis", "Carlos", "Kevin", "Wei", "Raj", "Omar", "Joseph"),
        *("Benjamin", "Ethan", "Tyrone"),
    ),
    family=(
        *("Smith", "Johnson", "Williams", "Brown", "Jones", "Garcia", "Rodriguez", "Martinez", "Lopez"),
        *("Rivera", "Cohen", "Goldberg", "Katz", "Chen", "Wong", "Kim", "Park", "Patel", "Singh"),
        *("Khan", "Russo", "Esposito", "O'Brien", "Murphy", "Washington", "Jefferson", "Baptiste"),
        *("Novak", "Sullivan", "Reyes"),
    ),
    numbers=tuple(f"+1{area}55501##" for area in (212, 332, 646, 718, 917, 929)),
)
TOKYO: Final = NamePool(
    given=(
        *("Yui", "Sakura", "Hina", "Aoi", "Misaki", "Haruka", "Nanami", "Ayaka", "Yuko", "Keiko"),
        *("Naoko", "Emi", "Mariko", "Akiko", "Chihiro", "Kaori", "Rin", "Mio", "Tomoko", "Haruto"),
        *("Ren", "Sota", "Kenji", "Takumi", "Daiki", "Hiroshi", "Kazuki", "Shun", "Yuto", "Makoto"),
        *("Anna", "Claire"),
    ),
    family=(
        *("Sato", "Suzuki", "Takahashi", "Tanaka", "Watanabe", "Ito", "Yamamoto", "Nakamura"),
        *("Kobayashi", "Kato", "Yoshida", "Yamada", "Sasaki", "Yamaguchi", "Matsumoto", "Inoue"),
        *("Kimura", "Hayashi", "Shimizu", "Mori", "Abe", "Ikeda", "Hashimoto", "Ishikawa", "Ogawa"),
        *("Okada", "Fujita", "Endo", "Aoki", "Fujii"),
    ),
    # Japan reserves none for fiction, but assigns no mobile number with 0000 after the prefix.
    numbers=("+81900000####", "+81800000####", "+81700000####"),
)
KATHMANDU: Final = NamePool(
    given=(
        *("Sita", "Gita", "Anjali", "Sabina", "Puja", "Asmita", "Kabita", "Rekha", "Laxmi", "Nirmala"),
        *("Sarita", "Maya", "Roshani", "Pema", "Dolma", "Ram", "Hari", "Suresh", "Rajesh", "Dipak"),
        *("Prakash", "Nabin", "Kiran", "Arjun", "Bishal", "Tenzing", "Mingma", "Gopal", "Santosh"),
    ),
    family=(
        *("Shrestha", "Maharjan", "Tamang", "Gurung", "Rai", "Limbu", "Magar", "Thapa", "Karki"),
        *("Adhikari", "Poudel", "Bhattarai", "Koirala", "Sharma", "Sherpa", "Lama", "Joshi", "Basnet"),
        *("Khadka", "Bista", "Tuladhar", "Pradhan", "Regmi", "Ghimire"),
    ),
    # Nepal reserves none for fiction, but its mobile numbers begin with 96, 97 or 98.
    numbers=("+97799000#####",),
)
