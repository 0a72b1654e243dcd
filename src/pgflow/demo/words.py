"""Words of English prose: counting them, the frequent ones, the time to read them."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from pgflow.demo.model import Document, FrequentWord, WordCount

WORDS_PER_MINUTE = 238
"""Silent reading of English non-fiction: Marc Brysbaert, "How many words do we read per minute?", 2019."""

LEAST_STOP_WORDS = 0.25
"""Share of stop words from which on a sentence counts as prose; English prose has about twice that."""

_WORD = re.compile(r"\w+(?:[.'\u2019\-]\w+)*")
_LETTER = re.compile(r"[^\W\d_]")

STOP_WORDS = frozenset(
    """
    a about above after again against all also am among an and any are aren't as at be because been before being below
    between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each either
    else even every few for from further get gets given had hadn't has hasn't have haven't having he hence her here
    hers herself him himself his how however i i'd i'll i'm i've if in into is isn't it it's its itself just let's like
    made make makes many may me might more most much must my myself neither never no nor not nothing now of off on once
    one only onto or other others our ours ourselves out over own per rather same say says see shall she should
    shouldn't since so some still such take takes than that that's the their theirs them themselves then there there's
    therefore these they they're this those though three through thus to too two under until unless up upon us use used
    uses using very via was wasn't way we we're well were weren't what when where whether which while who whom whose why
    will with within without won't would wouldn't yes yet you you'd you'll you're you've your yours yourself
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
"""English words that say nothing about what a text is about."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in order; `don't`, `set-based` and `3.11` are one word each."""
    return _WORD.findall(text)


def content_words(text: str) -> list[str]:
    """Return the lower-case words that carry meaning: no stop words, no numbers, nothing of one letter."""
    words = (word.lower().replace("\u2019", "'") for word in words_of(text))
    return [word for word in words if word not in STOP_WORDS and len(word) > 1 and _LETTER.search(word)]


def stem_of(word: str) -> str:
    """Return what `task`, `tasks` and `task's` have in common; enough to compare words of one text."""
    word = word.removesuffix("'s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def frequent_words(paragraphs: Iterable[str], limit: int = 8) -> list[FrequentWord]:
    """Return the most frequent content words that occur at least twice; equally frequent ones by the alphabet.

    Singular and plural are one word, given in the form that is more frequent.
    """
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for paragraph in paragraphs:
        for word in content_words(paragraph):
            forms[stem_of(word)][word] += 1
    words = [FrequentWord(form.most_common(1)[0][0], form.total()) for form in forms.values() if form.total() > 1]
    return sorted(words, key=lambda frequent: (-frequent.count, frequent.word))[:limit]


def is_prose(sentence: str) -> bool:
    """Say whether words like `the` and `of` are frequent enough for prose; lists of names and code have few."""
    words = words_of(sentence)
    return sum(word.lower() in STOP_WORDS for word in words) >= LEAST_STOP_WORDS * len(words)


def count_words_of(document: Document) -> WordCount:
    """Return the number of words in a document's prose, and the most frequent ones."""
    return WordCount(
        document=document.name,
        title=document.title,
        words=sum(len(words_of(paragraph)) for paragraph in document.paragraphs),
        frequent_words=frequent_words(document.paragraphs),
    )


def reading_minutes(words: int) -> int:
    """Return the minutes that reading takes, rounded up: 0 only for no words."""
    return math.ceil(words / WORDS_PER_MINUTE)
