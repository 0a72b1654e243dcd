from __future__ import annotations

import pytest

from pgflow.demo.model import Document, FrequentWord
from pgflow.demo.sentences import split_sentences
from pgflow.demo.summarise import MAX_SENTENCES, connect, rank, summarise_paragraphs, weigh
from pgflow.demo.words import count_words_of, frequent_words, reading_minutes, words_of


@pytest.mark.parametrize(
    "sentences",
    [
        ["One sentence.", "Another one!", "A third?"],
        ["Use an abbreviation, e.g. this one, i.e. exactly this.", "Then stop."],
        ["Dr. Smith met J. R. Jones at 5 p.m. on Monday.", "They spoke."],
        ["Python 3.11 and PostgreSQL 15.2 are supported.", "Version 3.", "12 follows."],
        ["See pgflow.sql and docs/api.md for more.", "pgmq is the queue."],
        ["Queues, tables etc. are created.", "Runs, steps, etc.", "Nothing else."],
        ["He said “Stop!” and left.", "“Why?”", "Nobody knew."],
        ["It waits... and waits.", "It ends..."],
        ["1. First do this.", "2. Then that."],
        ["See Fig. 3 (cf. Erkan et al. 2004).", "It shows this."],
        ["Without an end"],
        ["。".join(["第一句", ""]), "第二句"],
    ],
)
def test_sentences_are_split_where_they_end(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences


def test_an_empty_paragraph_has_no_sentences() -> None:
    assert split_sentences(" \n ") == []


TEXT = [
    "A queue holds messages for workers. The weather was fine on that long summer day in the hills.",
    "Workers read messages from the queue and run the tasks. My neighbour has a dog with brown ears and a red collar.",
    "When the tasks are done, workers delete their messages from the queue. Bread is baked early in the morning here.",
]


def test_a_summary_takes_what_the_sentences_have_in_common_in_document_order() -> None:
    assert summarise_paragraphs(TEXT, limit=2) == [
        "Workers read messages from the queue and run the tasks.",
        "When the tasks are done, workers delete their messages from the queue.",
    ]


def test_a_summary_is_the_same_every_time() -> None:
    assert len({tuple(summarise_paragraphs(TEXT)) for _ in range(20)}) == 1


def test_a_sentence_that_repeats_a_chosen_one_is_left_out() -> None:
    repeated = ["The worker reads messages from the queue.", "A worker reads the messages from its queue."]
    assert summarise_paragraphs([*repeated, *TEXT], limit=5).count(repeated[0]) == 1
    assert repeated[1] not in summarise_paragraphs([*repeated, *TEXT], limit=5)


@pytest.mark.parametrize("paragraphs", [[], [""], ["1 2 3."], ["the of and."]])
def test_a_text_without_words_has_no_summary(paragraphs: list[str]) -> None:
    assert summarise_paragraphs(paragraphs) == []


def test_a_short_text_is_its_own_summary() -> None:
    assert summarise_paragraphs(["Only one short sentence stands here."]) == ["Only one short sentence stands here."]


def test_fragments_are_taken_when_there_are_no_full_sentences() -> None:
    assert summarise_paragraphs(["Table of contents"]) == ["Table of contents"]


def test_scores_add_up_to_one_even_when_sentences_share_nothing() -> None:
    scores = rank(connect(weigh([["queue", "worker"], ["worker"], ["weather"]])))
    assert sum(scores) == pytest.approx(1)
    assert scores[0] == pytest.approx(scores[1])
    assert scores[2] < scores[0]


def test_a_long_text_is_summarised_from_its_first_sentences() -> None:
    long_text = [f"Sentence number{index} talks about queues and workers." for index in range(MAX_SENTENCES * 3)]
    assert len(summarise_paragraphs(long_text)) <= 3


def test_a_word_may_hold_hyphens_apostrophes_and_points() -> None:
    assert words_of("Don't use set-based 3.11: it's pgflow.sql.") == [
        "Don't",
        "use",
        "set-based",
        "3.11",
        "it's",
        "pgflow.sql",
    ]


def test_frequent_words_are_no_stop_words_and_occur_twice() -> None:
    text = ["The flow and the flow.", "A step, the Step and a flow; 7 7 7 x x once"]
    assert frequent_words(text) == [FrequentWord("flow", 3), FrequentWord("step", 2)]


def test_words_are_counted_over_all_paragraphs() -> None:
    document = Document("a.md", "/a.md", "Title", ["One two.", "Three"], [], [])
    assert count_words_of(document).words == 3


@pytest.mark.parametrize(("words", "minutes"), [(0, 0), (1, 1), (238, 1), (239, 2)])
def test_reading_time_is_rounded_up(words: int, minutes: int) -> None:
    assert reading_minutes(words) == minutes
