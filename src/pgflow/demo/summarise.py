"""Extractive summaries: the sentences of a text that the others have most in common with.

The method is continuous LexRank: Güneş Erkan and Dragomir R. Radev, "LexRank: Graph-based Lexical Centrality as
Salience in Text Summarization", Journal of Artificial Intelligence Research 22, 2004. Sentences are vectors of
words weighted by term frequency and inverse document frequency, the cosine of two vectors is the weight of the edge
between them, and the stationary distribution of a random walk over that graph ranks them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

from pgflow.demo.sentences import split_sentences
from pgflow.demo.words import content_words, is_prose, stem_of, words_of

MAX_SENTENCES = 600
"""Sentences that are ranked; of a longer text these are the first. The work grows with the square of it."""

DAMPING = 0.85
TOLERANCE = 1e-9
MAX_ITERATIONS = 200
SAME_CONTENT = 0.6
"""Cosine from which on a sentence says what a chosen one already said."""

Vector: TypeAlias = Mapping[str, float]
Graph: TypeAlias = Sequence[Mapping[int, float]]


def summarise_paragraphs(paragraphs: Iterable[str], limit: int = 3) -> list[str]:
    """Return up to `limit` sentences that stand for the text, in its order.

    The same text gives the same summary always. Only full sentences of prose with 5 to 50 words are taken, unless
    there are none. Raises nothing; a text without words has no summary.
    """
    sentences = _candidates(paragraphs)
    vectors = weigh([content_words(sentence) for sentence in sentences])
    graph = connect(vectors)
    scores = rank(graph) if graph else []
    # Rounding lets equal sentences stay equal, whatever order their sums were built in.
    ranking = sorted(range(len(sentences)), key=lambda index: (-round(scores[index], 9), index))
    return [sentences[index] for index in sorted(_without_repetition(ranking, graph, limit))]


def weigh(sentences: Sequence[Sequence[str]]) -> list[Vector]:
    """Return each sentence as a vector of length one: term frequency times inverse document frequency."""
    stems = [Counter(stem_of(word) for word in words) for words in sentences]
    occurrences = Counter(stem for counts in stems for stem in counts)
    weights = {stem: math.log(1 + len(sentences) / count) for stem, count in occurrences.items()}
    return [_normalise({stem: count * weights[stem] for stem, count in counts.items()}) for counts in stems]


def connect(vectors: Sequence[Vector]) -> Graph:
    """Return for each sentence the cosine with every other one that it shares a word with."""
    postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for index, vector in enumerate(vectors):
        for stem, weight in vector.items():
            postings[stem].append((index, weight))
    graph: list[dict[int, float]] = [{} for _ in vectors]
    for posting in postings.values():
        for (first, first_weight), (second, second_weight) in combinations(posting, 2):
            cosine = graph[first].get(second, 0.0) + first_weight * second_weight
            graph[first][second] = graph[second][first] = cosine
    return graph


def rank(graph: Graph) -> list[float]:
    """Return the sentences' scores, which add up to one, by power iteration; there must be at least one sentence."""
    size = len(graph)
    totals = [sum(edges.values()) for edges in graph]
    scores = [1 / size for _ in graph]
    for _ in range(MAX_ITERATIONS):
        following = _walk(graph, totals, scores)
        change = sum(abs(new - old) for new, old in zip(following, scores, strict=True))
        scores = following
        if change < TOLERANCE:
            break
    return scores


def _walk(graph: Graph, totals: Sequence[float], scores: Sequence[float]) -> list[float]:
    """One step of the random walk; from a sentence without neighbours it goes anywhere."""
    size = len(scores)
    lost = sum(score for score, total in zip(scores, totals, strict=True) if not total)
    anywhere = (1 - DAMPING + DAMPING * lost) / size
    return [
        anywhere + DAMPING * sum(weight * scores[other] / totals[other] for other, weight in edges.items())
        for edges in graph
    ]


def _candidates(paragraphs: Iterable[str]) -> list[str]:
    every = dict.fromkeys(sentence for paragraph in paragraphs for sentence in split_sentences(paragraph))
    worded = [sentence for sentence in every if content_words(sentence)]
    full = [sentence for sentence in worded if _is_full_sentence(sentence)]
    return (full or worded)[:MAX_SENTENCES]


def _is_full_sentence(sentence: str) -> bool:
    ended = sentence.rstrip("\"'”\u2019)]").endswith((".", "!", "?"))
    balanced = sentence.count("(") == sentence.count(")") and sentence.count("[") == sentence.count("]")
    return ended and balanced and 5 <= len(words_of(sentence)) <= 50 and is_prose(sentence)


def _without_repetition(ranking: Sequence[int], graph: Graph, limit: int) -> list[int]:
    chosen: list[int] = []
    for index in ranking:
        if len(chosen) == limit:
            break
        if all(graph[index].get(other, 0.0) < SAME_CONTENT for other in chosen):
            chosen.append(index)
    return chosen


def _normalise(vector: Vector) -> Vector:
    length = math.sqrt(sum(weight * weight for weight in vector.values()))
    return {stem: weight / length for stem, weight in vector.items()} if length else {}
