"""How do words become correct English? A tiny template language and the nouns that fill it.

    {a|b|c}     one of these, nested at will
    <h>         the slot h, as it is usually mentioned
    <h.he>      a form of the slot h; <H.he> the same with a capital letter
"""
import functools
import re

AN_EXCEPTIONS = {"unicorn", "uniform", "useful", "useless", "university", "one-eyed", "ukulele", "unit", "user", "once"}
A_SILENT_H = {"hour", "hourglass", "honest", "heir", "honour"}
IRREGULAR = {"mouse": "mice", "goose": "geese", "sheep": "sheep", "deer": "deer", "fish": "fish", "wolf": "wolves", "elf": "elves",
             "dwarf": "dwarves", "leaf": "leaves", "loaf": "loaves", "knife": "knives", "shelf": "shelves", "thief": "thieves",
             "child": "children", "man": "men", "woman": "women", "tooth": "teeth", "foot": "feet", "person": "people",
             "salmon": "salmon", "reindeer": "reindeer", "goldfish": "goldfish", "starfish": "starfish", "jellyfish": "jellyfish",
             "snowman": "snowmen", "fisherman": "fishermen", "postman": "postmen", "ferryman": "ferrymen", "watchman": "watchmen",
             "scarf": "scarves", "potato": "potatoes", "tomato": "tomatoes", "volcano": "volcanoes", "octopus": "octopuses",
             "piano": "pianos", "radio": "radios", "kangaroo": "kangaroos", "flamingo": "flamingos", "yo-yo": "yo-yos",
             "ox": "oxen", "dice": "dice", "aircraft": "aircraft", "series": "series", "seahorse": "seahorses"}
PRONOUNS = {"he": ("he", "him", "his", "himself"), "she": ("she", "her", "her", "herself"), "it": ("it", "it", "its", "itself")}


def article(text):
    first = text.split()[0].lower()
    if first in A_SILENT_H:
        return "an"
    return "an" if first[0] in "aeiou" and first not in AN_EXCEPTIONS and not first.startswith(("uni", "eu", "use")) else "a"


def with_article(text):
    return article(text) + " " + text


def plural(noun):
    head, _, last = noun.rpartition(" ")
    for preposition in (" of ", " in "):               # suits of armour
        if preposition in noun:
            front, back = noun.split(preposition, 1)
            return plural(front) + preposition + back
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh", "z")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return (head + " " + last).strip()


def cap(text):
    return text[:1].upper() + text[1:]


def listing(parts, word="and"):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + f" {word} " + parts[-1]


PAST = dict(pair.split(":") for pair in """
live:lived knock:knocked knocks:knocked argue:argued smells:smelled falls:fell rises:rose sleep:slept sleeps:slept makes:made make:made are:were
is:was shine:shone walk:walked smile:smiled bend:bent talks:talked has:had have:had turns:turned break:broke go:went goes:went
floats:floated float:floated trembles:trembled owned:owned lie:lay lies:lay bring:brought brings:brought take:took run:ran can:could
winds:wound ring:rang rings:rang stays:stayed comes:came come:came play:played plays:played climb:climbed watches:watched digs:dug
lean:leaned move:moved moves:moved polishes:polished drips:dripped hurries:hurried sings:sang sing:sang comment:commented
passes:passed pass:passed hang:hung hangs:hung waits:waited look:looked looks:looked jumps:jumped sit:sat hold:held squeaks:squeaked
reach:reached glows:glowed glow:glowed rattles:rattled cover:covered dances:danced dance:danced stand:stood sounds:sounded rolls:rolled
blows:blew says:said understands:understood runs:ran stop:stopped feed:fed see:saw swallow:swallowed seem:seemed whistles:whistled
creak:creaked creaks:creaked hum:hummed grow:grew whispers:whispered know:knew tell:told sighs:sighed roar:roared blink:blinked say:said
""".split())
VERB = re.compile(r"(?<!to )(?<!can )(?<!the )(?<!first )(?<!cow)\b(" + "|".join(sorted(PAST, key=len, reverse=True)) + r")\b")


def past(clause):
    """What one sees at a place, as a story tells it: "the boats knock" becomes "the boats knocked"."""
    return VERB.sub(lambda m: PAST[m.group(1)], clause)


class Thing:
    """A noun as the texts know it. `kind`: person, creature, object, place, mass (no article), name."""

    def __init__(self, noun, kind, adj="", name="", gender="it", **more):
        self.noun, self.kind, self.adj, self.name, self.gender = noun, kind, adj, name, gender
        self.more = more

    @property
    def full_noun(self):
        return (self.adj + " " + self.noun).strip()

    def form(self, form, rng):
        if form in ("he", "him", "his", "self"):
            return PRONOUNS[self.gender][("he", "him", "his", "self").index(form)]
        return getattr(self, "form_" + form)(rng)

    def form_(self, rng):                              # <h>: the usual mention
        if self.name and (not self.noun or rng.random() < 0.75):
            return self.name
        return self.form_the(rng)

    def form_the(self, rng):
        return self.noun if self.kind == "mass" else "the " + self.noun

    def form_a(self, rng):
        return self.full_noun if self.kind == "mass" else with_article(self.full_noun)

    def form_full(self, rng):
        return self.full_noun if self.kind == "mass" else "the " + self.full_noun

    def form_noun(self, rng):
        return self.noun

    def form_name(self, rng):
        return self.name or self.form_the(rng)

    def form_plural(self, rng):
        return self.noun if self.kind == "mass" else plural(self.noun)

    def form_intro(self, rng):
        if not self.name:
            return self.form_a(rng)
        if not self.noun:
            return self.name
        called = rng.choice((" called ", " called ", " named ", " whose name was "))
        return self.form_a(rng) + called + self.name

    def form_in(self, rng):                            # places: "in the harbour"
        return self.more["prep"] + " the " + self.noun

    def form_ina(self, rng):
        noun = self.full_noun
        return self.more["prep"] + " " + ("the " + noun if self.more.get("unique") else with_article(noun))

    def form_see(self, rng):
        if not self.more.get("left"):                  # the next one each time, so that nothing is said twice in a row
            self.more["left"] = rng.sample(self.more["see"], len(self.more["see"]))
        return past(self.more["left"].pop())

    def form_is(self, rng):
        return self.more["is"]


PUNCTUATION = re.compile(r"([?!])[.,](?=\")")            # "Why?," becomes "Why?"
TOKEN = re.compile(r"[{}|]|<[A-Za-z0-9]+(?:\.[a-z]+)?>|[^{}|<]+|<")


@functools.lru_cache(maxsize=None)
def parse(template):
    tokens = TOKEN.findall(template)
    at = 0

    def sequence():
        nonlocal at
        parts = []
        while at < len(tokens) and tokens[at] not in "|}":
            token = tokens[at]
            at += 1
            if token == "{":
                options = [sequence()]
                while tokens[at] == "|":
                    at += 1
                    options.append(sequence())
                if tokens[at] != "}":
                    raise ValueError("unbalanced: " + template)
                at += 1
                parts.append(options)
            elif token[0] == "<" and len(token) > 1:
                slot, _, form = token[1:-1].partition(".")
                parts.append((slot[0].lower() + slot[1:], form, slot[0].isupper()))
            else:
                parts.append(token)
        return parts

    tree = sequence()
    if at != len(tokens):
        raise ValueError("unbalanced: " + template)
    return tree


def say(rng, template, slots=None):
    """Fills one template. Raises KeyError if it names a slot that is not there."""
    out = []

    def walk(parts):
        for part in parts:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, list):
                walk(part[int(rng.random() * len(part))])
            else:
                slot, form, capital = part
                value = slots[slot]
                if isinstance(value, Thing):
                    text = value.form(form, rng)
                elif form:
                    text = {"a": with_article, "plural": plural, "the": lambda v: "the " + v}[form](value)
                else:
                    text = value
                out.append(cap(text) if capital else text)

    walk(parse(template))
    return PUNCTUATION.sub(r"\1", "".join(out))
