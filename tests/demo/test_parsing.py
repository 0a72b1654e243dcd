from __future__ import annotations

from pgflow.demo.model import Link
from pgflow.demo.parse_html import parse_html
from pgflow.demo.parse_markdown import heading_anchor, parse_markdown
from pgflow.demo.parse_text import parse_text

MARKDOWN = """# The *first* title

A paragraph with `code`, a [link](other.md "hint")
and [another
one](https://example.org) in it.

```python
not_prose("[x](hidden.md)")
```

- An item of a list.

| Table | Head |
|---|---|
| cell | [in a table](table.md) |

See <https://example.com/a> or https://example.com/b_(c).

## The *first* title

[![badge](badge.svg)](badge.md) and [by reference][r].

[r]: reference.md
"""


def test_the_first_heading_is_the_title_of_markdown() -> None:
    assert parse_markdown(MARKDOWN).title == "The first title"


def test_prose_of_markdown_is_paragraphs_and_items_without_code_blocks_tables_and_headings() -> None:
    assert parse_markdown(MARKDOWN).paragraphs == [
        "A paragraph with code, a link and another one in it.",
        "An item of a list.",
        "See https://example.com/a or https://example.com/b_(c).",
        "and by reference.",
    ]


def test_links_of_markdown_have_text_target_and_line() -> None:
    assert parse_markdown(MARKDOWN).links == [
        Link("link", "other.md", 3),
        Link("another one", "https://example.org", 4),
        Link("in a table", "table.md", 15),
        Link("https://example.com/a", "https://example.com/a", 17),
        Link("https://example.com/b_(c)", "https://example.com/b_(c)", 17),
        Link("badge", "badge.md", 21),
        Link("by reference", "reference.md", 21),
    ]


def test_headings_that_repeat_get_numbered_anchors() -> None:
    assert parse_markdown(MARKDOWN).anchors == ["the-first-title", "the-first-title-1"]


def test_an_anchor_drops_punctuation_and_keeps_letters_of_all_languages() -> None:
    assert heading_anchor("`start_flow()`: Größe & Maß - 3.11") == "start_flow-größe--maß---311"


def test_html_inside_markdown_gives_links_anchors_and_prose() -> None:
    block = '<p id="top">\nBlock <a href="a.md">A</a>\n</p>\n'
    content = parse_markdown(f'{block}\nText <a name="x"></a><a href="b.md">B</a>.\n')
    assert [(link.target, link.line) for link in content.links] == [("a.md", 2), ("b.md", 5)]
    assert content.anchors == ["top", "x"]
    assert content.paragraphs == ["Block A", "Text B."]


def test_a_heading_in_html_is_a_title_of_markdown() -> None:
    assert parse_markdown('<h1 align="center">Centred</h1>\n\n## Section\n').title == "Centred"


def test_front_matter_is_no_prose_but_gives_title_and_keeps_the_line_numbers() -> None:
    content = parse_markdown('---\ntitle: "From the front"\ntags: [a]\n---\n\nText with [a link](b.md).\n')
    assert content.title == "From the front"
    assert content.paragraphs == ["Text with a link."]
    assert content.links[0].line == 6


def test_an_empty_text_has_nothing_in_any_format() -> None:
    for parse in (parse_markdown, parse_html, parse_text):
        content = parse("")
        assert (content.title, content.paragraphs, content.links, content.anchors) == ("", [], [], [])


HTML = """<!doctype html><html><head><title>Page &amp; title</title><style>p {}</style></head>
<body><nav><ul><li><a href="/home">Home</a></li></ul></nav>
<main id="content"><h1>Heading</h1>
<p>First <b>bold</b>ness<br>after a break.</p>
<ul><li>Outer<ul><li>Inner</li></ul></li></ul>
<pre>code()</pre><script>var a = "<p>no</p>";</script><!-- <p>comment</p> -->
<p>A <a href="x.html" id="here">link</a>.</p></main>
<footer><a name="end" href="mailto:a@example.org"><img src="m.png" alt="Mail"></a></footer></body></html>"""


def test_prose_of_html_is_the_main_part_without_code_and_navigation() -> None:
    content = parse_html(HTML)
    assert content.title == "Page & title"
    assert content.paragraphs == ["First boldness after a break.", "Outer", "Inner", "A link."]


def test_links_and_anchors_of_html_are_those_of_the_whole_page() -> None:
    content = parse_html(HTML)
    assert content.links == [
        Link("Home", "/home", 2),
        Link("link", "x.html", 7),
        Link("Mail", "mailto:a@example.org", 8),
    ]
    assert content.anchors == ["content", "here", "end"]


def test_a_page_without_paragraph_elements_gives_its_other_text() -> None:
    assert parse_html("<h1>Title</h1><div>Old pages<div>do this.</div></div>").paragraphs == ["Old pages", "do this."]


def test_the_base_of_a_page_is_part_of_its_targets() -> None:
    content = parse_html('<base href="https://example.org/docs/"><a href="a.html">A</a>')
    assert content.links[0].target == "https://example.org/docs/a.html"


def test_characters_that_postgresql_refuses_are_replaced() -> None:
    assert parse_html("<p>a&#xD800;b&#0;c</p>").paragraphs == ["a\ufffdb\ufffdc"]


def test_broken_html_is_read_as_far_as_it_goes() -> None:
    assert parse_html("<p>One<p>Two <a href='x'>three").paragraphs == ["One", "Two three"]


def test_plain_text_has_paragraphs_between_blank_lines_and_web_addresses() -> None:
    content = parse_text("One\r\ntwo.\r\n \r\nSee https://example.org/a, (http://example.org/b).\n")
    assert content.paragraphs == ["One two.", "See https://example.org/a, (http://example.org/b)."]
    assert [(link.target, link.line) for link in content.links] == [
        ("https://example.org/a", 4),
        ("http://example.org/b", 4),
    ]
