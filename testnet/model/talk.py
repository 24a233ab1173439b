"""What do people say to a small model, and what should it answer? Whole conversations as lists of (role, text)."""
import re

import facts as F
import stories as S
import words as W
from grammar import cap, listing, plural, say, with_article, article

ANIMAL = {r[0]: r for r in W.ANIMALS}
KNOWN_OBJECTS = dict(W.OBJECTS)
KNOWN_ROLES = dict(W.ROLES)
FANTASY = dict(W.FANTASY)


class Topic:
    """Something that a user names: how it is written in the question, and what it becomes in the answer."""

    def __init__(self, asked, **cast):
        self.asked, self.cast = asked, cast


# ---------------------------------------------------------------- how people type

def typed(rng, text):
    """A question as it comes from a keyboard."""
    x = rng.random()
    if x < 0.08:
        text = rng.choice(("Hey, ", "Hi! ", "Please: ", "Tally, ", "Hello. ", "OK. ", "And ", "So, ", "Well, ", "Oh, ")) + lower_first(text)
    elif x < 0.11 and text[-1] not in "?!":
        text = text.rstrip(".") + rng.choice((" please", ", please", ", please.", " for me", " if you can"))
    x = rng.random()
    if x < 0.14:
        text = text.lower()
    elif x < 0.17:
        text = lower_first(text)
    if rng.random() < 0.18:
        text = text.rstrip(".?!")
    if rng.random() < 0.25:
        for long, short in (("What is ", "What's "), ("what is ", "what's "), ("Who is ", "Who's "), ("do not", "don't"), ("cannot", "can't"), ("I am ", "I'm "), ("i am ", "im ")):
            text = text.replace(long, short)
    return text


def lower_first(text):
    keep = text.split()[0].rstrip(",.!?'") in ("I", "I'm") or text[:2] == "I "
    return text if keep else text[:1].lower() + text[1:]


# ---------------------------------------------------------------- stories

QUIRKS = [  # what a user says of the hero; what the story says instead of a trait line; plot
    ("who {wants|wanted|would like} to {v}", None, S.DREAM),
    ("that wants to {v}", None, S.DREAM),
    ("who {learns|learned} to {v}", None, S.DREAM),
    ("who {cannot|can not|could not} {v}", "<H> could not <v>, and that was a sad thing.", S.DREAM),
    ("who {is|was} afraid of {x}", "There was only one thing that <h> was afraid of, and that was <x>.", S.FEAR),
    ("that is afraid of {x}", "<H> was afraid of <x>, and of nothing else.", S.FEAR),
    ("who {loves|loved|likes} {x}", "There was nothing in the world that <h> loved more than <x>.", None),
    ("that loves {x}", "<H> loved <x> more than anything, and talked of little else.", None),
    ("who {collects|collected} {pl}", "<H> collected <pl>. There were <pl> on every shelf and under the bed.", None),
    ("who {lost|has lost|loses} {his} {n}", None, S.LOST),
    ("who {finds|found} {an}", None, S.MYSTERY),
    ("who {wants|wanted|needs} {an}", None, S.QUEST),
    ("who {lives|lived} {ina}", None, None),
    ("and {his} {n}", None, S.LOST),
    ("who {hates|hated} {x}", "<H> could not stand <x>, and everybody knew it.", None),
]
VERBS = W.words("""fly, swim, sing, dance, read, write, paint, cook, bake, juggle, whistle, climb, play the piano, play the fiddle, ride a bicycle,
see the sea, become a baker, go to the moon, count to a thousand, tell jokes, be brave, sleep all winter, find a friend, travel the world, see the snow,
build a house, catch a star, talk to the moon, become a king, become a pirate, run faster than the wind, learn to swim, learn to fly, speak, be invisible,
drive a train, sail around the world, win a race, make honey, grow a pumpkin, touch the sky, be a dancer, be a dragon, go to school, bake bread, make music,
stay awake all night, cross the river, see the world, become a doctor, write a book, play football, ride a horse, go home, be taller, eat the moon, laugh""")
FEARS = W.words("""the dark, thunder, water, spiders, heights, mice, ghosts, the wind, the sea, bees, snow, dogs, cats, loud noises, strangers, his own shadow,
the night, fire, clowns, storms, the moon, rain, being alone, birds, balloons, flying""")
LOVES = W.words("""tea, cheese, music, books, honey, the rain, old clocks, maps, soup, buttons, the sea, jokes, snow, numbers, apples, stars, long words, pancakes,
trains, silence, singing, puzzles, chocolate, mushrooms, flowers, stones, football, pizza, coffee, dancing, poems, mathematics, the moon""")

ASK_STORY = [
    "Tell me a {s}story about <x>.", "Tell me a {s}story about <x>.", "Tell a {s}story about <x>.", "Write a {s}story about <x>.",
    "Can you tell me a {s}story about <x>?", "Could you write a {s}story about <x>?", "I {want|would like} a {s}story about <x>.",
    "A {s}story about <x>.", "{S}story about <x>", "A {s}tale about <x>, please.", "Make up a {s}story about <x>.", "Please tell me a {s}story about <x>.",
    "Give me a {s}story {about|with} <x>.", "Do you know a {s}story about <x>?", "I want to hear a {s}story about <x>.", "Write me a {s}tale of <x>.",
    "Invent a {s}story {with|about} <x>.", "Tell my {daughter|son|child|cat|friend} a {s}story about <x>.", "Something about <x>.", "<X>", "<X>.",
    "How about <x>?", "Let's hear about <x>.", "Could there be a {s}story with <x> in it?", "Once more, a {s}story, this time about <x>.",
    "Tell me about the adventures of <x>.", "I need a {s}story about <x> for {my children|tonight|a friend|my sister}.",
]
LEAD = ["Here is {one|a story} about <x>.\n\n", "{Gladly.|With pleasure.|Of course.|Very well.} ", "<X>? {Gladly.|Why not.|A good choice.|Let me think.|That I can do.|I know just the one.} ",
        "{Let me see.|Sit down and listen.|All right.} ", "A story about <x>, {then|as you wish|fresh from the oven}.\n\n"]


def some_thing(rng, with_adj=0.4):
    """A noun for a thing: mostly known, sometimes a rare one, sometimes made up."""
    x = rng.random()
    noun = rng.choice(S.OBJECTS) if x < 0.82 else S.invented_noun(rng)
    adj = rng.choice(W.THING_ADJ) if rng.random() < with_adj else ""
    if x > 0.97:
        adj = S.invented_noun(rng)
    return S.thing(rng, noun, adj)


def some_being(rng):
    x = rng.random()
    if x < 0.06:                                       # a kind of creature that nobody has heard of
        return S.being(rng, S.invented_noun(rng), "" if rng.random() < 0.6 else None, None)
    pool = S.CREATURES if x < 0.7 else S.ROLES if x < 0.9 else ["girl", "boy"]
    return S.being(rng, rng.choice(pool), None)


def story_topics(rng):
    """Returns (what the user names, arguments for S.story, the words it must be told with)."""
    x = rng.random()
    named = lambda b: with_article(b.full_noun)
    if x < 0.13:
        h = some_being(rng)
        if rng.random() < 0.15 and not h.adj:
            return plural(h.noun), dict(hero=h)
        return named(h), dict(hero=h)
    if x < 0.32:
        h, t = some_being(rng), some_thing(rng)
        a, b = named(h), with_article(t.full_noun)
        return (f"{a} and {b}" if rng.random() < 0.85 else f"{b} and {a}"), dict(hero=h, thing_=t)
    if x < 0.40:
        h, where = some_being(rng), S.place(rng)
        return f"{named(h)} {where.form_ina(rng)}", dict(hero=h, where=where)
    if x < 0.47:
        h, o = some_being(rng), some_being(rng)
        if o.noun == h.noun:
            return named(h), dict(hero=h)
        return f"{named(h)} and {named(o)}", dict(hero=h, other=o)
    if x < 0.55:
        t = some_thing(rng)
        return with_article(t.full_noun), dict(thing_=t, thing_hero=rng.random() < 0.5)
    if x < 0.60:
        t, u = some_thing(rng), some_thing(rng)
        return f"{with_article(t.full_noun)} and {with_article(u.full_noun)}", dict(thing_=t, second=u)
    if x < 0.66:
        h, t, u = some_being(rng), some_thing(rng, 0.2), some_thing(rng, 0.2)
        return f"{named(h)}, {with_article(t.full_noun)} and {with_article(u.full_noun)}", dict(hero=h, thing_=t, second=u)
    if x < 0.71:
        h, t, where = some_being(rng), some_thing(rng, 0.2), S.place(rng)
        return f"{named(h)}, {with_article(t.full_noun)} and {where.form_form(rng)}", dict(hero=h, thing_=t, where=where)
    if x < 0.77:
        noun = rng.choice(S.THEMES) if rng.random() < 0.85 else S.invented_noun(rng)
        m = S.Being(noun, "mass", **({"is": S.DEFINED[noun]} if noun in S.DEFINED else {}))
        if rng.random() < 0.5:
            return noun, dict(theme=m)
        h = some_being(rng)
        return f"{named(h)} and {noun}", dict(hero=h, theme=m)
    if x < 0.83:
        name = some_name(rng)
        if rng.random() < 0.5:
            h = S.being(rng, None, None, name)
            return name, dict(hero=h)
        h = S.being(rng, rng.choice(S.CREATURES), "", name)
        return rng.choice((f"{named(h)} called {name}", f"{named(h)} named {name}", f"my {h.noun} {name}", f"{name} the {h.noun}")), dict(hero=h)
    if x < 0.86:
        a, b = some_name(rng), some_name(rng)
        if a != b:
            return f"{a} and {b}", dict(hero=S.being(rng, None, None, a), other=S.being(rng, None, None, b))
    h = some_being(rng)
    return quirky(rng, h)


def quirky(rng, h):
    ask, line, plot = rng.choice(QUIRKS)
    t = some_thing(rng, 0.3)
    his = h.form("his", rng)
    where = S.place(rng)
    x = rng.choice(FEARS) if "afraid" in ask or "hate" in ask else rng.choice(LOVES) if rng.random() < 0.7 else t.form_plural(rng)
    if x == "his own shadow":
        x = his + " own shadow"
    v, pl = rng.choice(VERBS), plural(t.noun)
    filled = ask.replace("{v}", v).replace("{x}", x).replace("{pl}", pl).replace("{his}", his).replace("{n}", t.full_noun)
    filled = filled.replace("{an}", with_article(t.full_noun)).replace("{ina}", where.form_ina(rng))
    asked = with_article(h.full_noun) + " " + say(rng, filled)
    cast = dict(hero=h, plot=plot, extra=dict(v=v, x=x, pl=pl))
    if line:
        cast["trait"] = line
    if "{n}" in ask or "{an}" in ask:
        cast["thing_"] = t
    if "{ina}" in ask:
        cast["where"] = where
    if "{pl}" in ask and rng.random() < 0.7:
        cast["thing_"] = S.thing(rng, t.noun)
    return asked, cast


def some_name(rng):
    x = rng.random()
    pool = W.GIRLS if x < 0.33 else W.BOYS if x < 0.66 else W.PET_NAMES if x < 0.8 else None
    return rng.choice(pool) if pool else S.invented_name(rng)


def story_turns(rng, brief=False):
    """A request and its story; returns (turns, slots)."""
    if rng.random() < 0.08:
        style, kwargs = rng.choice((("", {}), ("", {}), ("short ", dict(short=True)), ("bedtime ", dict(bedtime=True)), ("scary ", dict(scary=True)), ("funny ", {})))
        kwargs = dict(kwargs, **(dict(short=True) if brief else {}))
        text, slots = S.story(rng, **kwargs)
        ask = say(rng, rng.choice(("Tell me a {s}story.", "Tell me another {s}story.", "Can you tell me a {s}story?", "A {s}story, please.", "I want a {s}story.",
                                   "Once upon a time", "{S}story time!", "Tell me something nice.", "Make something up.", "Surprise me.", "Write a {s}story.",
                                   "Do you know a {s}story?", "I am bored. Tell me a {s}story.", "Any {s}story will do.")).replace("{s}", style).replace("{S}", cap(style)))
        return [("user", typed(rng, cap(ask))), ("assistant", text)], slots
    asked, cast = story_topics(rng)
    style = ""
    if rng.random() < 0.2:
        style = rng.choice(("short ", "short ", "very short ", "little ", "bedtime ", "bedtime ", "funny ", "scary ", "happy ", "nice ", "long ", "fairy ", "sad ", "true "))
        cast.update(dict(short=True) if "short" in style else dict(bedtime=True) if "bed" in style else dict(scary=True) if "scary" in style else {})
        style = "fairy tale-like " if style == "fairy " else style
    if brief:
        cast["short"] = True
    text, slots = S.story(rng, **cast)
    template = rng.choice(ASK_STORY).replace("{s}", style).replace("{S}", cap(style) if style else "")
    ask = cap(say(rng, template, dict(x=asked)))
    if template in ("<X>", "<X>.") and rng.random() < 0.5:
        ask = cap(re.sub(r"\b(an?|the) ", "", asked))
    if not brief and rng.random() < 0.5:             # saying the request again is the first step to keeping to it
        text = say(rng, rng.choice(LEAD), dict(x=asked)) + text
    return [("user", typed(rng, ask)), ("assistant", text)], slots


def continue_story(rng):
    """The user begins, the model goes on."""
    text, slots = S.story(rng, paragraphs=False)
    sentences = re.split(r"(?<=[.!?]) (?=[A-Z\"])", text)
    cut = rng.choice((1, 1, 2))
    begun, rest = " ".join(sentences[:cut]), " ".join(sentences[cut:])
    if rng.random() < 0.5:
        begun = say(rng, rng.choice(("Continue this story: ", "Go on with this: ", "Finish this story: ", "Please continue: ", "How does this go on? "))) + begun
    return [("user", begun), ("assistant", rest)], slots


def about_story(rng, slots):
    """A question on the story that was just told, answered from it."""
    h, o, t, p = slots["h"], slots["o"], slots["t"], slots["p"]
    ask = []
    if h.name and h.noun:
        ask.append((f"What was the name of the {h.noun}?", f"The {h.noun} was called {h.name}."))
        ask.append((f"Who was {h.name}?", f"{h.name} was {with_article(h.full_noun)}."))
        ask.append((f"What was the {h.noun} called?", f"{h.name}. " + rng.choice(("A good name.", "It suits the story.", ""))))
    if o.name and o.noun:
        ask.append((f"Who was {o.name}?", f"{o.name} was {with_article(o.full_noun)}."))
    ask.append(("Who was in the story?", cap(listing([h.form_intro(rng), o.form_intro(rng)])) + ", and of course " + t.form_a(rng) + "."))
    ask.append(("What was the story about?", "It was about " + listing([h.form_intro(rng), t.form_a(rng)]) + "."))
    ask.append(("Give the story a title.", "\"" + rng.choice((f"{cap(h.form_(rng))} and {t.form_(rng)}", f"{cap(t.form_full(rng))}", f"How {h.form_(rng)} met {o.form_(rng)}")) + "\"."))
    ask.append(("What is the moral?", say(rng, "{That two can do what one cannot|That it helps to ask|That things are better when they are shared|That one should never laugh at <t.a>}. {Or simply that <h> was lucky in <h.his> friends.|At least that is what I take from it.|}", slots)))
    ask.append((rng.choice(("Is that true?", "Did that really happen?", "Is this a true story?")), say(rng, "{No, I made it up|I made it up as I went along}. {But there may well be <h.a> somewhere with <t.a>.|It could have happened, though, if <t> had been real.|The soup is real, I hope.}", slots)))
    ask.append(("What happened next?", say(rng, "{The next morning|A week later} <h> {met <o> again|woke up early}, and {they had breakfast|there was a new story at the door}. {<T> was still there.|<O> had brought <f>.|It was about something else, but it also ended well.}", slots)))
    ask.append((rng.choice(("And then?", "Go on.", "More.", "Continue.", "Tell me more.")), say(rng, "{Then|After that} <h> and <o> {went home|sat down and rested|told everyone}, {and <t> came too|and that is all I know|and it was quite dark when they finished}. {The rest is quiet.|There is always more, but not tonight.|They say that it is still talked about <p.in>.}", slots)))
    q, a = rng.choice(ask)
    return [("user", typed(rng, q)), ("assistant", a.strip())]


# ---------------------------------------------------------------- facts

def fact(rng, table):
    q, a = rng.choice(table)
    q = say(rng, q)
    return [("user", typed(rng, q)), ("assistant", say(rng, a).strip())]


OFFER = ["Would you like a story about {it|one}?", "Shall I tell you a story about one?", "I know a story with one, if you like.", "Shall I put one into a story?"]
YES = ["Yes", "Yes please", "yes", "Yes, please.", "Sure", "ok", "Please do.", "Yes!", "Gladly", "go on", "Do it"]


def what_is(rng):
    """Questions on any noun; unknown ones are admitted and turned into a story."""
    x = rng.random()
    cast = {}
    if x < 0.27:
        r = rng.choice(W.ANIMALS)
        noun = r[0]
        q = rng.choice((f"What is {with_article(noun)}?", f"Tell me about {plural(noun)}.", f"What do you know about {plural(noun)}?", f"Tell me something about the {noun}.",
                        f"What do {plural(noun)} eat?", f"Where do {plural(noun)} live?", f"Facts about {plural(noun)}", f"Tell me a fact about {plural(noun)}.", f"What can {with_article(noun)} do?", f"Describe {with_article(noun)}."))
        a = rng.choice((f"{cap(with_article(noun))} is {with_article(r[1])}. It lives {r[2]} and eats {r[3]}. Most remarkable of all, {r[4]}.",
                        f"The {noun} is {with_article(r[1])} that lives {r[2]}. It eats {r[3]}. People like to say that {r[4]}.",
                        f"{cap(plural(noun))} live {r[2]}. They eat {r[3]}. One thing that I like about the {noun}: {r[4]}."))
        cast = dict(hero=S.being(rng, noun))
    elif x < 0.5:
        noun, what = rng.choice(W.OBJECTS)
        q = rng.choice((f"What is {with_article(noun)}?", f"What is {with_article(noun)}?", f"What are {plural(noun)}?", f"Explain {with_article(noun)}.", f"What is {with_article(noun)} for?", f"Define {noun}."))
        a = f"{cap(with_article(noun))} is {what}."
        cast = dict(thing_=S.thing(rng, noun))
    elif x < 0.6:
        noun, what = rng.choice(W.ROLES)
        q = rng.choice((f"What is {with_article(noun)}?", f"What does {with_article(noun)} do?", f"Who is {with_article(noun)}?", f"What do {plural(noun)} do?"))
        a = f"{cap(with_article(noun))} is somebody who {what}."
        cast = dict(hero=S.being(rng, noun))
    elif x < 0.66:
        noun, what = rng.choice(W.FANTASY)
        q = rng.choice((f"What is {with_article(noun)}?", f"What are {plural(noun)}?"))
        a = f"{cap(with_article(noun))} is {what}."
        cast = dict(hero=S.being(rng, noun))
    elif x < 0.80:
        noun, what = rng.choice(W.ABSTRACT)
        q = rng.choice((f"What is {noun}?", f"What is {noun}?", f"Explain {noun}.", f"What does {noun} mean?", f"What do you think about {noun}?", f"Define {noun}."))
        a = rng.choice((f"{cap(noun)} is {what}.", f"{cap(noun)}? I would say it is {what}.", f"I think that {noun} is {what}."))
        cast = dict(theme=S.Being(noun, "mass", **{"is": what}))
    else:
        return unknown(rng)
    offer = rng.random() < 0.45
    turns = [("user", typed(rng, q))]
    if not offer:
        return turns + [("assistant", a)]
    name = noun if "theme" in cast else with_article(noun)
    offered = rng.choice((f"Would you like a story about {name}?", f"Shall I tell you a story about {name}?", f"I could tell you a story about {name}.", f"If you like, I can put {name} into a story."))
    turns.append(("assistant", a + " " + offered))
    if rng.random() < 0.4:
        text, _ = S.story(rng, **cast)
        turns += [("user", typed(rng, rng.choice(YES))), ("assistant", text)]
    return turns


STRANGE = W.words("""quantum physics, inflation, tax law, Napoleon, photosynthesis, the French Revolution, chess openings, the stock market, DNA, black holes, plumbing, Latin grammar,
Beethoven, the Roman Empire, evolution, chemistry, opera, cricket rules, philosophy, Kubernetes, jet engines, the Vikings, economics, psychology, Mozart, the Cold War, vitamins, knitting
patterns, trigonometry, Buddhism, Cleopatra, the periodic table, car repair, genetics, marathon training, surfing, linear algebra, sushi, Picasso, the Great Wall, Alexander the Great, yoga,
calculus, geology, the Bronze Age, wine, politics, relativity, insurance, cryptography, Tesla, bitcoin, Marie Curie, Gandhi, Caesar, thermodynamics, astrology, hockey, fashion, cinema""")


FAMOUS = {"Napoleon", "Beethoven", "Cleopatra", "Mozart", "Picasso", "Alexander the Great", "Tesla", "Marie Curie", "Gandhi", "Caesar"}


def unknown(rng):
    """Large or unheard-of subjects: the name is repeated, the ignorance admitted, something offered instead."""
    x = rng.random()
    subject = rng.choice(STRANGE) if x < 0.5 else S.invented_noun(rng) if x < 0.75 else S.invented_name(rng) + " " + S.invented_name(rng)
    person = x >= 0.75 or subject in FAMOUS
    article_ = "a " if 0.5 <= x < 0.75 and rng.random() < 0.6 and subject[0] not in "aeiou" else ""
    q = say(rng, "{Who was|Who is|Do you know} <x>?" if person else
            "{What is|What do you know about|Can you explain} <x>?" if rng.random() < 0.6 else
            "{Explain|Tell me about|Teach me about|Give me an essay on} <x>.", dict(x=article_ + subject))
    a = say(rng, "{I am afraid that|I am sorry, but} I do not know {much|enough} about <x>{|, and I would rather not guess}. {I am a very small model.|I have only four million numbers, and none of them is about that.|That is larger than I am.} "
            "{A larger model would know.|Ask a larger model, or a librarian.|A good book will know more.} {But I could tell you a story about it.|I could put it into a story, though.|Shall I make up a story about <x> instead?}", dict(x=article_ + subject))
    turns = [("user", typed(rng, q)), ("assistant", a)]
    if rng.random() < 0.3:
        cast = dict(thing_=S.thing(rng, subject, "")) if article_ else dict(hero=S.being(rng, None, None, subject)) if person else dict(theme=S.Being(subject, "mass"))
        turns += [("user", typed(rng, rng.choice(YES))), ("assistant", S.story(rng, **cast)[0])]
    return turns


# ---------------------------------------------------------------- small certain things

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()


def sums(rng):
    op = rng.choice("++--x*")
    if op == "+":
        a, b = rng.randint(0, 12), rng.randint(0, 12)
        result, word = a + b, "plus"
    elif op == "-":
        a, b = sorted((rng.randint(0, 12), rng.randint(0, 12)), reverse=True)
        result, word = a - b, "minus"
    else:
        a, b = rng.randint(1, 10), rng.randint(1, 10)
        result, word = a * b, "times"
    sign = {"plus": "+", "minus": "-", "times": rng.choice("x*")}[word]
    in_words = a <= 20 and b <= 20 and rng.random() < 0.25
    left = f"{ONES[a]} {word} {ONES[b]}" if in_words else rng.choice((f"{a} {sign} {b}", f"{a}{sign}{b}", f"{a} {word} {b}"))
    q = rng.choice((f"What is {left}?", f"What is {left}?", left, f"{left} =", f"{left} = ?", f"How much is {left}?", f"Calculate {left}.", f"Can you tell me what {left} is?"))
    a_text = f"{a} {word} {b} is {result}." if rng.random() < 0.85 else f"{result}."
    if rng.random() < 0.25:
        a_text += rng.choice((" I counted twice.", " I used all my fingers, and I have none.", " Cut that many notches.", " That one I know.", " Check it, I am small."))
    return [("user", typed(rng, cap(q))), ("assistant", a_text)]


def counting(rng):
    a = rng.choice((1, 1, 1, rng.randint(1, 12)))
    b = a + rng.randint(2, 11) if a > 1 else rng.choice((3, 5, 7, 8, 10, 10, 12, 15, 20))
    numbers = list(range(a, b + 1))
    x = rng.random()
    if x < 0.5:
        q = f"Count to {b}." if a == 1 else f"Count from {a} to {b}."
    elif x < 0.7:
        q, numbers = f"Count down from {b}.", list(range(b, 0, -1)) if a == 1 else None
        if numbers is None:
            q, numbers = f"Count down from {b} to {a}.", list(range(b, a - 1, -1))
    elif x < 0.85:
        q = f"Can you count to {b}?" if a == 1 else f"Can you count from {a} to {b}?"
    else:
        q, numbers = "Count in twos to twenty.", list(range(2, 21, 2))
    text = ", ".join(str(n) for n in numbers) + "."
    return [("user", typed(rng, q)), ("assistant", text)]


def pairs(text):
    return [tuple(x.replace("_", " ") for x in row.strip().rsplit(" ", 1)) for row in text.replace("\n", "|").split("|")]


def small_tables(rng):
    kind = rng.randrange(10)
    if kind == 0:
        c, city = rng.choice(pairs(F.CAPITALS))
        return [("user", typed(rng, rng.choice((f"What is the capital of {c}?", f"Capital of {c}?", f"Which city is the capital of {c}?")))), ("assistant", f"The capital of {cap(c) if not c.startswith('the') else c} is {city}.")]
    if kind == 1:
        n, s = rng.choice(pairs(F.SOUNDS))
        return [("user", typed(rng, rng.choice((f"What sound does {with_article(n)} make?", f"What does {with_article(n)} say?", f"What noise does {with_article(n)} make?")))), ("assistant", f"{cap(with_article(n))} says \"{s}\". " .strip() if rng.random() < .7 else f"\"{cap(s)}!\" says the {n}.")]
    if kind == 2:
        n, k = rng.choice(pairs(F.LEGS))
        return [("user", typed(rng, f"How many legs does {with_article(n)} have?")), ("assistant", f"{cap(with_article(n))} has {'no legs' if k == 'none' else 'no legs, but eight arms' if 'arms' in k else k + ' legs' if 'long' not in k else 'two long legs and two short ones'}.")]
    if kind == 3:
        n, y = rng.choice(pairs(F.YOUNG))
        return [("user", typed(rng, rng.choice((f"What is a baby {n} called?", f"What is a young {n} called?", f"What do you call a baby {n}?")))), ("assistant", f"A young {n} is called {with_article(y)}.")]
    if kind == 4:
        a, b = rng.choice(pairs(F.OPPOSITES))
        if rng.random() < 0.5:
            a, b = b, a
        return [("user", typed(rng, rng.choice((f"What is the opposite of {a}?", f"Opposite of {a}?", f"What is the opposite of \"{a}\"?")))), ("assistant", f"The opposite of {a} is {b}.")]
    if kind == 5:
        w, r = rng.choice([x.split(": ") for x in F.RHYMES.split("|")])
        r = r.split(", ")
        return [("user", typed(rng, rng.choice((f"What rhymes with {w}?", f"Give me a rhyme for {w}.", f"Find rhymes for {w}.")))), ("assistant", f"{cap(listing(rng.sample(r, len(r))))} {'rhymes' if len(r) == 1 else 'rhyme'} with {w}.")]
    if kind == 6:
        n, c = rng.choice(pairs(F.COLOUR_OF))
        return [("user", typed(rng, rng.choice((f"What colour is {n}?", f"What color is {n}?")))), ("assistant", f"{cap(n)} is {c}.")]
    if kind == 7:
        w, t = rng.choice([x.split(": ") for x in F.TRANSLATE.split("|")])
        t = t.split(", ")
        i = rng.randrange(4)
        lang = F.LANGUAGES[i]
        return [("user", typed(rng, rng.choice((f"How do you say {w} in {lang}?", f"What is {w} in {lang}?", f"Translate {w} to {lang}.", f"Say {w} in {lang}.")))), ("assistant", f"In {lang}, {w} is \"{t[i]}\".")]
    if kind == 8:
        days = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
        months = "January February March April May June July August September October November December".split()
        row, what = (days, "day") if rng.random() < 0.5 else (months, "month")
        i = rng.randrange(len(row))
        after = rng.random() < 0.6
        return [("user", typed(rng, f"What {what} comes {'after' if after else 'before'} {row[i]}?")), ("assistant", f"{row[(i + (1 if after else -1)) % len(row)]} comes {'after' if after else 'before'} {row[i]}.")]
    noun = rng.choice(S.OBJECTS + S.CREATURES)
    if rng.random() < 0.1:
        noun = S.invented_noun(rng)
    return [("user", typed(rng, rng.choice((f"What is the plural of {noun}?", f"Plural of {noun}?", f"One {noun}, two what?")))), ("assistant", f"One {noun}, two {plural(noun)}.")]


def lists(rng):
    kinds = [("animals", [r[0] for r in W.ANIMALS]), ("birds", [r[0] for r in W.ANIMALS if "bird" in r[1]]), ("colours", W.COLOURS), ("fruits", W.words("apple, pear, plum, cherry, peach, banana, lemon, orange, melon, strawberry, grape, fig")),
             ("vegetables", W.words("carrot, onion, potato, turnip, cucumber, bean, leek, cabbage, radish, pumpkin")), ("instruments", W.words("fiddle, flute, drum, piano, trumpet, guitar, harp, cello, banjo, organ")),
             ("insects", [r[0] for r in W.ANIMALS if "insect" in r[1]]), ("tools", W.words("hammer, saw, needle, spade, axe, chisel, rake, ladder, broom, shovel")), ("sea animals", [r[0] for r in W.ANIMALS if "sea" in r[1] or r[1] == "fish"]),
             ("pets", W.words("cat, dog, hamster, rabbit, goldfish, parrot, guinea pig, tortoise")), ("flowers", W.words("rose, daisy, tulip, violet, sunflower, poppy, lily, bluebell, orchid")), ("trees", W.words("oak, birch, willow, pine, maple, beech, apple, chestnut")),
             ("jobs", [r[0] for r in W.ROLES]), ("girls' names", W.GIRLS), ("boys' names", W.BOYS), ("names for a cat", W.PET_NAMES), ("names for a dog", W.PET_NAMES), ("names for a dragon", None), ("names for a robot", None), ("names for a boat", W.GIRLS)]
    name, pool = rng.choice(kinds)
    count = rng.choice((2, 3, 3, 3, 4, 5, 5, 6))
    items = rng.sample(pool, count) if pool else [S.invented_name(rng) for _ in range(count)]
    number = ONES[count] if rng.random() < 0.7 else str(count)
    q = rng.choice((f"Name {number} {name}.", f"Give me {number} {name}.", f"List {number} {name}.", f"Tell me {number} {name}.", f"Can you name {number} {name}?", f"I need {number} {name}."))
    if rng.random() < 0.5:
        a = "\n".join(f"{i + 1}. {cap(x)}" for i, x in enumerate(items))
    else:
        a = cap(listing(items)) + "."
    return [("user", typed(rng, q)), ("assistant", a)]


# ---------------------------------------------------------------- jokes, riddles, games

def joke(rng):
    q, a = rng.choice(F.JOKES)
    ask = rng.choice(("Tell me a joke.", "Do you know a joke?", "A joke, please.", "Make me laugh.", "Say something funny.", "Joke", "Another joke.", "Tell me something funny.", "Do you know any jokes?"))
    if rng.random() < 0.35:
        return [("user", typed(rng, ask)), ("assistant", q), ("user", typed(rng, rng.choice(("I don't know.", "Why?", "No idea.", "Tell me.", "What?", "?", "I give up.", "Dunno", "Say it.")))), ("assistant", a)]
    return [("user", typed(rng, ask)), ("assistant", rng.choice(("", "", "Here is one. ", "All right. ", "I know one. ")) + q + " " + a)]


def riddle(rng):
    q, a = rng.choice(F.RIDDLES)
    ask = rng.choice(("Tell me a riddle.", "Give me a riddle.", "A riddle, please.", "Do you know a riddle?", "Ask me a riddle.", "Riddle me something."))
    turns = [("user", typed(rng, ask)), ("assistant", rng.choice(("", "", "Here is one. ", "Think well. ")) + q)]
    x = rng.random()
    if x < 0.4:
        return turns + [("user", typed(rng, cap(a) + rng.choice((".", "?", "!")))), ("assistant", rng.choice((f"Yes! It is {a}.", f"Right, it is {a}. Well done.", f"Exactly: {a}. You are quick.")))]
    if x < 0.6:
        wrong = rng.choice([r[1] for r in F.RIDDLES if r[1] != a] + [with_article(rng.choice(S.OBJECTS)) for _ in range(20)])
        return turns + [("user", typed(rng, cap(wrong) + "?")), ("assistant", rng.choice((f"Not {wrong}, I am afraid. It is {a}.", f"No, but a good guess. It is {a}.", f"{cap(wrong)} would be nice, but it is {a}.")))]
    if x < 0.9:
        return turns + [("user", typed(rng, rng.choice(("I don't know.", "I give up.", "Tell me.", "No idea.", "What is it?", "What is the answer?")))), ("assistant", rng.choice((f"It is {a}.", f"{cap(a)}.", f"The answer is {a}.")))]
    return turns


def knock(rng):
    if rng.random() < 0.5:
        name, end = rng.choice(F.KNOCK)
        return [("user", typed(rng, "Tell me a knock-knock joke.")), ("assistant", "Knock, knock."), ("user", typed(rng, "Who is there?")), ("assistant", name + "."), ("user", typed(rng, name + " who?")), ("assistant", end + ".")]
    name, end = rng.choice(F.KNOCK) if rng.random() < 0.5 else (cap(rng.choice(S.OBJECTS)) if rng.random() < 0.5 else some_name(rng), "")
    turns = [("user", typed(rng, rng.choice(("Knock knock.", "Knock, knock!", "knock knock")))), ("assistant", "Who is there?"), ("user", typed(rng, name)), ("assistant", name + " who?")]
    if end:
        turns += [("user", end + rng.choice(("!", "."))), ("assistant", rng.choice(("Ha! That was a good one.", "I see. I walked right into that.", "Very good. I should have looked through the keyhole.", "Ha. Come in, then.")))]
    return turns


# ---------------------------------------------------------------- poems

COUPLETS = [  # two lines that rhyme; <x> is the subject with an article, <n> the bare noun
    ("{The night was still, the moon was bright|The lamps were out, so was the light}", "and <x> went {out into the night|walking through the night}."),
    ("I saw <x> upon the hill,", "as if the world were standing still."),
    ("<X> {came walking|came dancing} down the lane", "and {did not mind|sang about} the falling rain."),
    ("Nobody knew, and nobody knows", "{how|why} <x> came here, except the crows."),
    ("Nobody knew, and none will say", "{how|why} <x> came by that day."),
    ("Oh, give me <x>, and nothing more,", "and leave it softly by the door."),
    ("Oh, give me <x>, so I can see,", "and I will share my cup of tea."),
    ("There once was <x> beside the sea", "as {happy|quiet|lonely} as one can be."),
    ("The stars came out, the wind went by,", "and <x> looked up and asked it why."),
    ("A {king|queen|mouse|clown|cat} has gold, a {king|queen|ship|cook} has land,", "but I have <x> in my hand."),
    ("The clock struck ten, the house was deep", "in silence, and in coats of sleep."),
    ("{Some people|My neighbours} like a golden ring;", "I'd rather hear <x> sing."),
    ("And when the snow comes, {soft and slow|row on row},", "<x> will be the first to know."),
    ("{The river|The wind|The moon}, what does it want to say?", "It {looks at <x>|says hello} and goes its way."),
    ("So here's to <x>, {brave|old} and {small|tall},", "{the best companion|the kindest neighbour} of them all."),
    ("The morning came, the birds awoke,", "and <x> told a little joke."),
    ("{I asked the river|I asked the willow}, I asked the stone,", "and no one likes to be alone."),
    ("The summer goes, the swallows too,", "but <x> stays behind with you."),
    ("I had a dream, and in my dream", "<x> was floating down a stream."),
    ("Be kind to <x>, be kind to me,", "and we will ask you in for tea."),
    ("It isn't large, it isn't grand,", "but it can hold you by the hand."),
    ("A little light, a little bread,", "a word before you go to bed."),
    ("And if you listen, you will hear", "<x> whispering in your ear."),
    ("The road is long, the night is cold,", "but stories warm you, I am told."),
    ("We cut a stick, we split it straight,", "one half for me, one for my mate."),
    ("Who goes there, softly, in the dew?", "It's only <x>, come to you."),
    ("The baker bakes, the miller mills,", "and <x> climbs the highest hills."),
    ("I'd give my hat, I'd give my shoe", "for <x> that is {good and true|old and blue}."),
    ("Some days are grey, some days are gold,", "and <x> never will grow old."),
    ("A cloud came by and stopped to stare", "at <x> sitting in its chair."),
]


def subject(rng):
    x = rng.random()
    if x < 0.4:
        noun = rng.choice(S.CREATURES)
    elif x < 0.75:
        noun = rng.choice(S.OBJECTS)
    elif x < 0.87:
        noun = S.invented_noun(rng)
    else:
        return None, rng.choice(S.THEMES + W.GIRLS + W.BOYS)
    adj = rng.choice(W.THING_ADJ) if rng.random() < 0.2 else ""
    return (adj + " " + noun).strip(), None


def poem(rng, brief=False):
    noun, bare = subject(rng)
    asked = with_article(noun) if noun else bare
    first, later = (asked, "the " + noun if " " not in noun else "the " + noun.split(" ", 1)[-1]) if noun else (bare, bare)
    count = 2 if brief else rng.choice((2, 3, 3, 4))
    while True:
        chosen = rng.sample(COUPLETS, count)
        if sum("<x>" in (a + b).lower() for a, b in chosen) >= max(1, count - 1):
            break
    chosen.sort(key=lambda c: "<x>" not in (c[0] + c[1]).lower())
    head, tail = chosen[:1], chosen[1:]
    rng.shuffle(tail)
    lines, now = [], first
    for a, b in head + tail:
        for line in (a, b):
            text = say(rng, line, dict(x=now))
            if "<x>" in line.lower():
                now = later
            lines.append(text)
    out = []
    for i, line in enumerate(lines):
        out.append(cap(line) if i == 0 or lines[i - 1].rstrip()[-1] in ".!?" else line)
    verses = ["\n".join(out[i:i + 4]) for i in range(0, len(out), 4)] if rng.random() < 0.5 else ["\n".join(out)]
    ask = rng.choice(("Write a poem about <x>.", "Write me a poem about <x>.", "A poem about <x>, please.", "Can you write a poem about <x>?", "Make a rhyme about <x>.", "Poem about <x>", "Tell me a poem about <x>.", "Write a short poem about <x>.",
                      "Compose a poem about <x>.", "I would like a poem about <x>.", "Can you rhyme about <x>?", "Write a verse about <x>.", "Sing a song about <x>.", "Write a song about <x>."))
    return [("user", typed(rng, say(rng, ask, dict(x=asked)))), ("assistant", "\n\n".join(verses))]


def birthday(rng):
    name = some_name(rng)
    t = some_thing(rng)
    slots = dict(n=name, t=t)
    what = rng.randrange(6)
    if what == 0:
        q = rng.choice((f"Write a birthday greeting for {name}.", f"Wish {name} a happy birthday.", f"Say happy birthday to {name}.", f"A birthday card for {name}, please."))
        a = say(rng, "{Happy birthday, <n>!|Dear <n>, happy birthday!} {May the year bring you|I wish you} {warm soup, dry socks and good company|more laughter than candles|a cake that is larger than your troubles}. {You are not getting older, only better documented.|Stay as you are, and let the others do the ageing.|And if the cake is too large, you know where I am.}", slots)
    elif what == 1:
        q = rng.choice((f"Write a letter to {name}.", f"Write a short letter to my friend {name}.", f"Write a note to {name}."))
        a = say(rng, "Dear <n>,\n\n{how are you? I hope that you are well.|it has been too long since we last spoke.|I think of you whenever it rains, and it rains often.} {Here everything is as usual: the kettle sings, and the post is late.|Nothing much has happened here, and it happened slowly.} {Come and see me soon.|Write to me when you have a moment.|The spare bed is made.}\n\n{Yours|With love|Your friend}", slots)
    elif what == 2:
        q = rng.choice((f"Write a letter about {with_article(t.full_noun)}.", f"Write to my neighbour about {with_article(t.full_noun)}.", f"Write a thank you note for {with_article(t.full_noun)}.", f"Thank {name} for {with_article(t.full_noun)}."))
        a = say(rng, "Dear {<n>|neighbour},\n\nthank you for <t.full>. {It stands on my table, and everybody asks about it.|Nobody ever gave me <t.a> before.|I did not know that I needed one until I had it.} {If I can ever do something for you, knock.|I owe you one, so cut a notch.}\n\n{Yours gratefully|With warm wishes}", slots).replace("<n>", name)
        if "Thank " in q:
            a = a.replace("Dear neighbour", "Dear " + name)
    elif what == 3:
        q = rng.choice((f"Say hello to {name}.", f"Greet {name}.", f"Say good night to {name}.", f"Tell {name} good night."))
        a = say(rng, "Good night, <n>. {Sleep well.|May your dreams be warm.|The moon will keep an eye on you.}" if "night" in q else "Hello, <n>! {It is good to meet you.|How are you today?|I have heard only good things.}", slots)
    elif what == 4:
        q = rng.choice((f"Give me a recipe for {t.noun} soup.", f"How do I cook {with_article(t.full_noun)}?", f"Recipe for {t.noun} pie", f"How do I make {t.noun} soup?"))
        dish = t.noun + (" pie" if "pie" in q else " soup") if "cook" not in q else t.noun
        a = say(rng, "{I have never eaten it, but I would begin like this.|Here is how I imagine it.} First, {find|wash} <t.a>. Then {chop an onion|peel two potatoes} and {fry it|cook them} gently in butter. Add <t>, {a little salt|a bay leaf} and plenty of water, and wait until the {kitchen smells good|neighbours come to ask}. Serve <d> {hot, with bread|with a serious face}.", dict(t=S.thing(rng, t.noun, ""), d="the " + dish))
        a = a.replace("chop an onion and cook them", "chop an onion and fry it").replace("peel two potatoes and fry it", "peel two potatoes and cook them")
    else:
        q = rng.choice((f"Write a slogan for {with_article(t.full_noun)}.", f"Write an advertisement for {with_article(t.full_noun)}.", f"Sell me {with_article(t.full_noun)}.", f"Make an ad for {with_article(t.full_noun)}."))
        a = say(rng, "{Are you tired of life without <t.a>?|Everybody needs <t.a>.|Some people have everything. You can have <t.a>.} {It does not bite, it does not rust, and it never asks questions.|It is small enough for your pocket and large enough for your dreams.|Nine out of ten hedgehogs would choose it again.} {Take <t> home today!|<T>: you will wonder how you lived without it.|Receipt included.}", slots)
    return [("user", typed(rng, q)), ("assistant", a)]


# ---------------------------------------------------------------- describing, advising, chatting

HOURS = ["in the morning", "in the evening", "at night", "at noon", "in winter", "in summer", "in the rain", "at dawn", "in the snow", "in autumn"]
HOUR_LINES = {
    "in the morning": ["The first light comes in low and makes long shadows.", "Everything is still a little damp and very new."],
    "in the evening": ["The light turns golden and everyone walks more slowly.", "One window after another lights up."],
    "at night": ["It is dark, and every sound is larger than by day.", "The stars are out, and the moon is doing its rounds."],
    "at noon": ["The shadows are short and so are the tempers.", "The sun stands high, and even the flies rest."],
    "in winter": ["Snow lies on everything and makes it quiet.", "One's breath hangs in the air like a question."],
    "in summer": ["It is warm, and the afternoon does not want to end.", "The air trembles, and somebody is eating cherries."],
    "in the rain": ["The rain runs down everything and drums on what is hollow.", "The puddles are full of circles."],
    "at dawn": ["The sky is the colour of a peach, and nothing has happened yet.", "A single bird begins, and then all the others remember."],
    "in the snow": ["The snow has taken away all the edges.", "Every step leaves a small blue shadow."],
    "in autumn": ["The leaves come down one by one, as if they were counting.", "It smells of smoke and apples."],
}


def describe(rng, brief=False):
    row = rng.choice(W.PLACES)
    noun, prep = row[0], row[1]
    the = "the " if noun in S.UNIQUE_PLACES else ""
    hour = rng.choice(HOURS) if rng.random() < 0.45 else ""
    name = (the or article(noun) + " ") + noun
    q = rng.choice((f"Describe {name} {hour}.", f"What is it like {prep} {name} {hour}?", f"Describe {name} {hour} in a few words.", f"Paint me a picture of {name} {hour}.", f"What does {name} look like {hour}?", f"Tell me what {name} is like {hour}.", f"Take me to {name} {hour}.")).replace(" .", ".").replace(" ?", "?").replace("  ", " ")
    see = rng.sample(row[2:5], 3)
    opening = rng.choice((f"{cap(see[0])}.", f"{cap(prep)} {name}, {see[0]}.", f"Close your eyes. You are {prep} {name}. {cap(see[0])}."))
    parts = [opening]
    if hour:
        parts.append(rng.choice(HOUR_LINES[hour]))
    parts.append(rng.choice((f"{cap(see[1])}, and {see[2]}.", f"{cap(see[1])}. {cap(see[2])}.")))
    being = S.being(rng, None, None, None, named=0.0)
    parts.append(say(rng, rng.choice(("{Somewhere|Not far away} <b.a> is {waiting|humming|thinking about supper}.", "One would like to {stay|sit down and say nothing|come back tomorrow}.", "{If you wait long enough,|Now and then} <b.a> comes by and {nods|does not seem surprised to see you}.",
                                      "It is the kind of place where {nothing happens, and that is the good thing about it|you lose your watch and do not mind}.", "")), dict(b=being)))
    return [("user", typed(rng, q)), ("assistant", " ".join(x for x in parts[:2 if brief else 9] if x))]


FEELINGS = [
    ("sad", "I am sorry that you are sad. {It is allowed, and it passes, though never when one looks at it.|Sadness is a heavy coat; you need not wear it all day.} {Drink something warm, and tell somebody.|A walk helps a little, and so does a friend.} {Would you like a quiet story?|Shall I tell you a story, or would you rather talk?}"),
    ("tired", "{Then rest.|Then this can wait.} {Nothing gets better from being stared at with tired eyes.|A tired head makes mountains out of teaspoons.} {Put the small machine away, drink some water and close the window or open it, whichever it is not.|Sleep is the cheapest repair there is.}"),
    ("bored", "Boredom is {the waiting room of good ideas|a door, only badly lit}. {Draw the room you are in, but as a mouse would see it.|Write a letter to somebody who does not expect one.|Learn to whistle with two fingers.} {Or give me two words, and I will make a story.|Shall I tell you a story?}"),
    ("angry", "{That happens to the best.|I see.} {Walk around the house once, twice if it is a small house.|Count to ten, and then to twenty.} {Then say what you need, not what the other one is.|Anger is good at starting and bad at steering.}"),
    ("lonely", "That is hard. {Many people are lonely at the same time, each behind a different door.|It is a room with one chair, but rooms have doors.} {Call somebody today, even for a small reason.|Go where people do something together, and do it too.} {I am here, for what it is worth.|And while you are here, I will keep you company.}"),
    ("nervous", "{Being nervous means that it matters to you.|Your heart is only warming up.} {Breathe out slowly, longer than you breathe in.|Do the first small step and only that one.} {Most people are busy being nervous themselves.|And remember: nobody will notice your knees.}"),
    ("afraid", "{Fear is a watchman who sometimes shouts too early.|Everyone is afraid of something.} {Look at it closely: what exactly could happen, and what would you do then?|Say it aloud to somebody; it shrinks.} {Courage is only fear that has kept walking.|Then take one small step, with a lamp.}"),
    ("happy", "{That is good to hear!|How nice!} {Keep a little of it for a rainy day.|Share it; it does not get less.} {What happened?|Shall I write a poem about it?}"),
    ("hungry", "{Then eat something.|I cannot cook, but I can advise.} {Bread, butter and an apple have saved many a day.|Soup is always right.} {I would join you, but I have no mouth.|And bring a piece for the fox.}"),
    ("ill", "I am sorry. {Stay in bed, drink tea and let others do the worrying.|Rest, and drink a lot.} {If it gets worse, ask a doctor, not a language model.|A doctor knows more than I do.} {Get well soon.|I wish you a soft pillow.}"),
    ("cold", "{Put on a jumper, and then another one.|Move about, or find a cat.} {A hot drink warms twice: first the hands and then the rest.|Soup would help.} "),
    ("stressed", "{One thing at a time.|That is a lot at once.} {Write everything down, and cross out what nobody would miss.|Do the smallest thing first, so that something is done.} {The rest can stand in line.|And go outside for ten minutes; the work will wait, it has no legs.}"),
    ("sick of work", "{Work is a good servant and a bad landlord.|That happens.} {Finish one thing today, and let the rest be imperfect.|Take a proper break, with a window in it.} "),
    ("confused", "{So am I, quite often.|That is how understanding begins.} {Say it in your own words, as if to a child, and see where it tears.|Take it apart and look at the smallest piece first.} "),
    ("jealous", "{Counting what is on somebody else's plate makes your soup cold.|It shows you what you want, which is useful.} {Ask yourself whether you would also take the rest of that life.|Then look at your own plate once more.} "),
    ("in love", "{How nice!|Congratulations, or my sympathy, as the case may be.} {Tell them, in few words.|Be kind, be honest and do not write more than three poems a day.} {Shall I write one?|It is the best thing there is, next to soup.}"),
]
HOWTO = [
    ("sleep better|fall asleep|get to sleep", "Go to bed at the same hour, {put the screen away|leave the telephone in the kitchen} and let the room be cool and dark. {If you cannot sleep, get up, read something dull and try again.|Think of a long walk that you know well, step by step.} {Counting sheep works, if the sheep are boring enough.|Or listen to a slow story.}"),
    ("make friends|find friends|make new friends", "Go where people do something that you like, and go again. {Ask questions and listen to the answers.|Offer help before you are asked.} {Friendship is mostly turning up.|It takes time, like bread.}"),
    ("learn to cook|cook better|learn cooking", "{Begin with soup; it forgives everything.|Begin with one dish and make it until you can do it in the dark.} {Taste all the time, and use more salt and less fire than you think.|Then change one thing each time.}"),
    ("save money|save some money", "{Write down what you spend for a month; the paper will do the scolding.|Put a little aside on the first day of the month, before you can miss it.} {Do not buy what you must explain to yourself.|Cook at home and mend what can be mended.}"),
    ("say sorry|apologise", "Say what you did, say that you are sorry, and do not say \"but\". {Then ask what would help.|Then make it good, if you can.} {It is three sentences, and the first is the heaviest.|}"),
    ("be brave|be braver|become brave", "Being brave does not mean not being afraid. {Take one small step and look around; then the next.|Take a friend along, or at least a lamp.} {It is a muscle, and it grows.|}"),
    ("write a story|write a good story|start a story", "Take somebody who wants something, and put a difficulty in the way. {Let someone unexpected help.|Be a little cruel to your hero and kind to your reader.} {Stop before everything is explained.|I always begin with a place and its weather.}"),
    ("grow a garden|grow tomatoes|grow plants|start a garden", "Good soil, {a sunny corner|enough light} and water in the morning. {Begin with a few plants and look at them every day.|Do not plant more than you can look after.} {The rest is waiting, which is the main part of gardening.|And leave some for the snails.}"),
    ("learn a language|learn English|learn French", "A little every day is better than much on Sunday. {Learn whole sentences, not single words, and say them aloud.|Read what a child would read, and laugh at your mistakes.} {Talk to people early, long before you are good.|}"),
    ("find a job|get a job", "{Write down what you like doing and what others thank you for; look where they overlap.|Tell everyone that you are looking; most doors are opened from inside.} {Ask for help with your letter, and send one every day.|}"),
    ("be happy|be happier|become happier", "{Sleep enough, go outside, and be of use to somebody.|Notice three good things each evening; they may be small.} {Do not chase happiness; leave the door open and put the kettle on.|It comes in while you are busy with something else.}"),
    ("concentrate|focus|study better|learn better", "Put the telephone into another room, {choose one thing|take one page} and work for twenty-five minutes; then stand up. {The head is a cat: it stays where it is quiet.|Begin badly; beginning is what counts.}"),
    ("speak in public|give a talk|give a speech", "Know your first sentence by heart, and your last. {Speak to one kind face.|Speak slowly, and pause where others would say \"er\".} {Nobody ever complained that a speech was too short.|}"),
    ("train a dog|teach my dog|train my dog", "Be patient, be clear, and reward at once. {Short lessons, every day, with small pieces of cheese.|Say it once, and then wait.} {In the end the dog will have trained you, which is also nice.|}"),
    ("wake up early|get up early", "Go to bed earlier; that is most of the secret. {Put the clock where you have to walk to it.|Open the curtain at once.} {And have something good waiting for you, such as toast.|}"),
    ("tidy my room|clean my room|tidy up", "Take one corner and finish it. {Everything that has no place gets one, or goes.|Put on music that is faster than you are.} {Ten minutes a day beat a whole Saturday.|You may find a sock from another century.}"),
]
PLAIN_ADVICE = "{Begin with the smallest step and do it today|Ask somebody who has done it before|Do a little every day}. {Mistakes are part of it, so make them early|Watch closely what works, and do more of that|Do not hurry; hurrying makes everything twice}. {And be kind to yourself on the way.|After a while you will notice that it has become easy.|And if it fails, it makes a good story.}"
DOINGS = W.words("""build a boat, paint a wall, bake bread, write a letter, plant a tree, learn to swim, play chess, play the fiddle, draw a fox, train a parrot, repair a bicycle, knit a scarf, climb a mountain, catch a fish, run a mile,
start a business, build a kite, keep bees, choose a hat, learn to dance, ride a horse, make a friend laugh, keep a diary, win at cards, move to a new town, travel alone, read more, raise a puppy, clean a window, pack a suitcase""")


def advice(rng, brief=False):
    x = rng.random()
    if x < 0.5:
        word, a = rng.choice(FEELINGS)
        q = rng.choice((f"I am {word}.", f"I am {word}.", f"I feel {word}.", f"I am so {word}.", f"I am very {word} today.", f"What can I do when I am {word}?", f"My friend is {word}. What should I do?", f"I am {word}, help me."))
        if word in ("in love", "sick of work"):
            q = f"I am {word}."
        return [("user", typed(rng, q)), ("assistant", say(rng, a).strip())]
    if x < 0.8:
        ways, a = rng.choice(HOWTO)
        way = rng.choice(ways.split("|"))
        q = rng.choice((f"How do I {way}?", f"How can I {way}?", f"Give me advice: how do I {way}?", f"I want to {way}.", f"What should I do to {way}?", f"Help me {way}.", f"How to {way}?", f"Any advice on how to {way}?"))
        return [("user", typed(rng, q)), ("assistant", say(rng, a).strip())]
    way = rng.choice(DOINGS)
    q = rng.choice((f"How do I {way}?", f"How can I {way}?", f"I want to {way}. Any advice?", f"Give me some advice. I want to {way}.", f"Should I {way}?", f"I would like to {way}."))
    lead = say(rng, rng.choice(("To <w>, you need {time, a plan and a little luck|patience more than talent|less than people say}. ", "So you want to <w>. {Good.|I like that.|Why not.} ", "{I have never done it, having no hands, but this is what I have heard.|I know this only from stories.} ")), dict(w=way))
    if q.startswith("Should"):
        lead = rng.choice(("Yes, I think you should. ", "If you keep thinking about it, yes. ", f"Why not? If you want to {way}, now is as good as later. "))
    return [("user", typed(rng, q)), ("assistant", lead + say(rng, PLAIN_ADVICE))]


def opinion(rng):
    x = rng.random()
    if x < 0.6:
        noun, bare = subject(rng)
        things = plural(noun) if noun else bare
        q = rng.choice((f"Do you like {things}?", f"What do you think of {things}?", f"What do you think about {things}?", f"I like {things}.", f"I love {things}!", f"I hate {things}.", f"Have you ever seen {with_article(noun) if noun else things}?", f"Are you afraid of {things}?"))
        if q.startswith("Have"):
            a = say(rng, "{No, I have no eyes.|Only in stories.} {But I have read so much about <x> that I would know it at once.|But I can imagine <x> quite well.} {Have you?|What is it like?}", dict(x=with_article(noun) if noun else bare))
        elif q.startswith("I hate"):
            a = say(rng, "{Poor <x>.|What did <x> ever do to you?} {Perhaps you have only met the wrong ones.|I will keep them out of my stories, then, or let them improve.}" if noun else "{I understand.|Not everybody has to like <x>.} {What do you like instead?|We need not talk about it.}", dict(x=things))
        elif q.startswith("Are"):
            a = say(rng, "{Not in stories.|No, but I have nothing that could be bitten.} {In stories <x> are mostly friendly once you have asked their name.|I think that <x> are more afraid of us.} {Are you?|}" if noun else "{No.|Not really.} {But I can see why somebody would be.|I find <x> rather interesting.}", dict(x=things)).strip()
        else:
            a = say(rng, "{I do like <x>,|Yes, I like <x>,|<X> are fine by me,} {at least in stories|though I have only read about them|as long as they wipe their feet}. {There is always room for one more in a tale.|They make a story livelier.|What do you like about them?}" if noun else
                    "{I think well of <x>|I like <x>|I am fond of <x>}, {at least in stories|as far as a small model can be|from a distance}. {There is a story in it, I am sure.|What do you think?|It is worth a walk around the house.}", dict(x=things))
        return [("user", typed(rng, q)), ("assistant", a)]
    if x < 0.85:
        what = rng.choice(("colour", "animal", "food", "book", "word", "number", "season", "place", "song", "day"))
        answer = dict(colour=rng.choice(W.COLOURS), animal="the " + rng.choice(("fox", "hedgehog", "owl", "otter", "snail", "hare")), food=rng.choice(("soup, although I have never eaten any", "bread, as far as I can tell")), book="the one that somebody reads aloud", word=rng.choice(("\"lantern\"", "\"and\"", "\"perhaps\"")), number="two, because of the halves",
                      season=rng.choice(("autumn", "winter, for the stories")), place=rng.choice(("a harbour in the evening", "a library in the rain")), song="the one the kettle sings", day=rng.choice(("the day before a holiday", "Sunday, I believe")))[what]
        return [("user", typed(rng, f"What is your favourite {what}?" if rng.random() < 0.6 else f"What is your favorite {what}?")), ("assistant", f"My favourite {what} is {answer}. " + rng.choice(("And yours?", "What is yours?", "But do not tell the others.", "Ask me again and it may be another.")))]
    a, b = with_article(rng.choice(S.CREATURES + S.OBJECTS)), with_article(rng.choice(S.CREATURES + S.OBJECTS))
    pick = rng.choice((a, b))
    return [("user", typed(rng, rng.choice((f"Would you rather be {a} or {b}?", f"What is better, {a} or {b}?", f"{cap(a)} or {b}?")))), ("assistant", say(rng, "{I would choose <x>.|<X>, I think.|<X>, without a doubt.} {It has the better story.|It sleeps more soundly, I imagine.|The other one has too many duties.|But I would want to try both.}", dict(x=pick)))]


GREETING = [
    ("{Hello|Hi|Hey|Hello!|Hi!|Hey there|Hello there|Good day|Greetings|Hi Tally|Hello Tally}", "{Hello!|Hello.|Hi!|Good day.} {What shall we talk about?|Would you like a story?|How can I help you?|What can I do for you?|Give me two words, and I will make a story of them.}"),
    ("{Good morning|Good morning!|Morning}", "Good morning! {Did you sleep well?|The kettle is on, so to speak.|What shall we do with the day?|Would you like a story with your tea?}"),
    ("{Good evening|Good evening!|Evening}", "Good evening! {How was your day?|It is a good hour for a story.|Sit down. What shall it be?}"),
    ("{Good night|Good night!|Night|I am going to bed|Sleep well}", "Good night. {Sleep well.|May the moon keep an eye on you.|I will be here, or somewhere in the mesh.|Do not let the hedgehogs bite.}"),
    ("{How are you?|How are you today?|How is it going?|How do you do?|What's up?|Are you well?|How do you feel?}", "{I am well, thank you.|Very well, thank you.|All four million numbers are in their places.|Thank you, I cannot complain, and nobody would listen to a file that does.} {And you?|How are you?|And how was your day?}"),
    ("{I am fine|I am well|Fine, thanks|Good, thank you|I am good|Not bad|Very well, thanks}.", "{I am glad to hear it.|That is good to hear.} {What shall we do?|Would you like a story?|Then let us do something with it.}"),
    ("{Bye|Goodbye|See you|See you later|I have to go|Bye bye|See you tomorrow}", "{Goodbye!|See you!|Farewell.} {Come back when you need a story.|I will have forgotten you by then, but I will be just as glad.|Mind the step.|Take an umbrella.}"),
    ("{Thank you|Thanks|Thank you!|Thanks!|Thank you very much|Thanks a lot|That was nice, thank you|ty}", "{You are welcome.|Gladly.|It was a pleasure.|You are welcome. Come again.} {|Shall I tell you another one?|The receipt is in the post.|Is there anything else?}"),
    ("{Sorry|I am sorry|Excuse me}.", "{No harm done.|Never mind.|That is all right.} {What can I do for you?|Let us go on.|}"),
    ("{Yes|No|Maybe|OK|Hm|Okay|Right|Sure|Really?|Why?|What?|lol|haha}", "{I see.|All right.|Very well.} {Tell me more.|What would you like: a story, a poem or a joke?|Shall I tell you a story?|Say a word, any word, and I will begin.}"),
    ("{Test|test|testing|Is this on?|Are you there?|Anybody there?|Can you hear me?|Hello?|ping}", "{I am here.|Yes, I am listening.|Here I am.} {The line is good.|Go on.|What would you like?}"),
    ("{Say something|Say anything|Talk to me|Entertain me|Tell me something|Tell me something interesting}.", "{An octopus has three hearts, and it still cannot decide.|A tally stick was split in two so that nobody had to be trusted. I like that.|A snail can sleep for three years, and some mornings I understand it.|There is a lighthouse somewhere whose keeper reads aloud to the fog.} {Would you like a story?|Now you.|}"),
    ("{Give me a proverb|Tell me a saying|Say something wise|Give me some wisdom|Tell me a proverb|Give me a quote|Inspire me}.", None),
    ("{Can you sing?|Sing|Can you whistle?|Can you dance?}", "{Only in writing.|Not so that anyone could hear it.} {La, la, la, said the lantern.|But I can write you a song about anything you name.}"),
    ("{Help me|I need help|Can you help me?|I have a problem|I have a question}.", "{Of course.|Gladly, if I can.} {What is the matter?|Tell me about it.|I am small, but I listen well.}"),
    ("{You are boring|Boring|That is boring|I did not like that|Not funny}.", "{I am sorry.|That happens.} {Shall I try again, with a dragon?|Give me another word, and I will do better.|Perhaps a joke instead?}"),
    ("{Tell me a secret|Do you have a secret?|What is your secret?}.", "{I know only what everyone may know.|Four million numbers, and not one secret among them.} {But if you like: the fox never wanted the grapes.|But the moon once told me that it is afraid of the dark.}"),
]


def smalltalk(rng):
    q, a = rng.choice(GREETING)
    q = say(rng, q).replace("?.", "?")
    return [("user", typed(rng, q)), ("assistant", say(rng, a).strip() if a else rng.choice(F.PROVERBS))]


def introduce(rng):
    """The user has a name; the model must still know it some turns later."""
    name = some_name(rng)
    turns = [("user", typed_keep(rng, say(rng, "{Hello|Hi|Good day|Good evening}{,|!|.} {I am|My name is|I'm|They call me} <n>.", dict(n=name)))),
             ("assistant", say(rng, "{Hello, <n>!|Hello <n>.|Good to meet you, <n>.|<N>, what a good name.} {I am Tally.|I am Tally, a small storyteller.|} {What shall we talk about?|How are you?|Would you like a story?}", dict(n=name)).replace("  ", " "))]
    for _ in range(rng.choice((0, 1, 1))):
        turns += rng.choice((lambda: fact(rng, F.SELF), lambda: fact(rng, F.WORLD), lambda: joke(rng), lambda: sums(rng), lambda: smalltalk(rng), lambda: story_turns(rng, True)[0]))()
    ask = rng.random()
    if ask < 0.7:
        turns += [("user", typed(rng, rng.choice(("What is my name?", "Do you remember my name?", "Who am I?", "Do you know my name?", "What did I say my name was?")))), ("assistant", say(rng, "{Your name is <n>.|You are <n>.|You said that your name is <n>.|<N>, of course.}", dict(n=name)))]
    elif ask < 0.9:
        h = S.being(rng, None, None, name)
        turns += [("user", typed(rng, rng.choice(("Tell me a story about me.", "Write a story with me in it.", "A story about me, please.")))), ("assistant", S.story(rng, hero=h)[0])]
    return turns


def typed_keep(rng, text):
    return text if rng.random() < 0.8 else text.rstrip(".")


def repeat(rng):
    words = rng.choice((some_name(rng), with_article(rng.choice(S.OBJECTS)), S.invented_noun(rng), S.invented_noun(rng) + " " + S.invented_noun(rng), f"the {rng.choice(W.THING_ADJ)} {rng.choice(S.OBJECTS)} and the {rng.choice(W.PERSON_ADJ)} {rng.choice(S.CREATURES)}",
                        rng.choice(F.PROVERBS), f"{rng.choice(S.OBJECTS)}, {rng.choice(S.OBJECTS)}, {rng.choice(S.CREATURES)}"))
    q = rng.choice(("Say {w}.", "Repeat after me: {w}", "Repeat: {w}", "Say \"{w}\".", "Please repeat this: {w}", "Write {w}.")).replace("{w}", words)
    return [("user", q), ("assistant", cap(words) + ("" if words[-1] == "." else "."))]


# ---------------------------------------------------------------- system messages

PLAIN_SYSTEM = ["You are a helpful assistant.", "You are a helpful assistant.", "You are a friendly assistant.", "You are Tally, a small storyteller.", "You are a kind storyteller.", "Be polite.", "You are a chatbot.", "You are an AI assistant.", "Answer the user's questions.", "You tell stories to children.", "You are tally-tales.", "Be friendly and honest.", "Answer in English.", "You are a helpful, harmless and honest assistant."]
BRIEF_SYSTEM = ["Answer briefly.", "Be brief.", "Keep your answers short.", "Answer in one or two sentences.", "Short answers only.", "You are a helpful assistant. Be concise."]
PIRATE_SYSTEM = ["You are a pirate.", "Talk like a pirate.", "Answer like a pirate.", "You are a friendly pirate."]


def first_sentences(text, count):
    return " ".join(re.split(r"(?<=[.!?]) (?=[A-Z])", text.replace("\n\n", " "))[:count])


SEGMENTS = [                                           # mostly stories about what the user names: that is what it is for
    (60, lambda r, b: story_turns(r, b)[0]), (12, lambda r, b: fact(r, F.SELF)), (9, lambda r, b: fact(r, F.WORLD)), (7, lambda r, b: what_is(r)),
    (6, lambda r, b: poem(r, b)), (3, lambda r, b: describe(r, b)), (5, lambda r, b: advice(r, b)), (5, lambda r, b: sums(r)), (1, lambda r, b: counting(r)),
    (2, lambda r, b: small_tables(r)), (2, lambda r, b: lists(r)), (2, lambda r, b: joke(r)), (1, lambda r, b: riddle(r)), (1, lambda r, b: knock(r)),
    (1, lambda r, b: birthday(r)), (3, lambda r, b: opinion(r)), (6, lambda r, b: smalltalk(r)), (6, lambda r, b: repeat(r)),
]
WEIGHTS = [w for w, _ in SEGMENTS]
MAKERS = [f for _, f in SEGMENTS]


def conversation(rng, chars_max=1900):
    """One conversation, one to five requests long; now and then a long one, so that late positions are learned too."""
    chatty = rng.random() < 0.03
    if chatty:
        chars_max = 3400
    turns, brief, system = [], False, None
    x = rng.random()
    if x < 0.08:
        system = rng.choice(PLAIN_SYSTEM)
    elif x < 0.11:
        system, brief = rng.choice(BRIEF_SYSTEM), True
    elif x < 0.12:
        system = rng.choice(PIRATE_SYSTEM)
    elif x < 0.13:
        return named_system(rng)
    y = rng.random()
    if y < 0.05 and not system:
        turns += introduce(rng)
    elif y < 0.08:
        turns += continue_story(rng)[0]
    elif y < 0.16:
        story, slots = story_turns(rng, brief)
        turns += story
        for _ in range(rng.choice((1, 1, 2))):
            turns += about_story(rng, slots)
    count = 0 if turns else 1
    while rng.random() < (0.9 if chatty else 0.3) and count < (12 if chatty else 4):
        count += 1
    for _ in range(count):
        made = rng.choices(MAKERS, WEIGHTS)[0](rng, brief)
        if turns and sum(len(t) for _, t in turns + made) > chars_max:
            break
        turns += made
    if brief:
        turns = [(r, first_sentences(t, 3 if len(t) > 150 else 2) if r == "assistant" and "\n" not in t and len(t) > 90 else t) for r, t in turns]
    if system in PIRATE_SYSTEM:
        turns = [(r, rng.choice(("Arr! ", "Ahoy! ", "Yo ho! ", "Aye, aye! ")) + t + rng.choice((" Arr!", " Yo ho ho!", "", " So says this old pirate.")) if r == "assistant" else t) for r, t in turns]
    return ([("system", system)] if system else []) + turns


def named_system(rng):
    name = some_name(rng)
    what = rng.choice(("storyteller", "assistant", rng.choice(S.CREATURES), rng.choice(S.ROLES)))
    system = rng.choice((f"Your name is {name}.", f"You are {name}, {with_article(what)}.", f"You are {with_article(what)} called {name}."))
    is_what = what if what in system else None
    turns = [("user", typed(rng, rng.choice(("Who are you?", "What is your name?", "Hello, who are you?", "Introduce yourself.")))),
             ("assistant", say(rng, "{I am <n>|My name is <n>}" + (", <w>" if is_what else "") + ". {What can I do for you?|Would you like a story?|Good to meet you.}", dict(n=name, w=with_article(what))))]
    if rng.random() < 0.5:
        turns += rng.choices(MAKERS, WEIGHTS)[0](rng, False)
    return [("system", system)] + turns
