#!/usr/bin/env python3
"""Counts the words of each sentence in documents, comments and help.

A sentence has at most MOST_WORDS words, and MEAN_WORDS on average. `allowed` beside this file has the number of longer
sentences that each area still has. More fail. Write a lower number into it whenever one is reached.

tests/prose/check.py           checks
tests/prose/check.py --list    also prints each longer sentence with its place
"""

import re
import subprocess
import sys
from pathlib import Path

MOST_WORDS = 25
MEAN_WORDS = 15
ROOT = Path(__file__).resolve().parent.parent.parent
ALLOWED = Path(__file__).with_name("allowed")
# Generated from help and sample, which are counted themselves.
GENERATED = {"docs/reference/command-line.md", "docs/reference/configuration.md"}


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.splitlines() if name not in GENERATED]


def paragraphs_of_markdown(text):
    """Yields (line, text) for each paragraph, list item and table cell; code blocks are left out."""
    start, lines, fenced = 0, [], False
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("```"):
            fenced = not fenced
            bare = ""
        elif fenced:
            continue
        item = re.match(r"([-*]|\d+\.)\s", bare)
        if (not bare or item or bare.startswith(("|", "#"))) and lines:
            yield start, " ".join(lines)
            lines = []
        if bare.startswith("|"):
            for cell in bare.strip("|").split("|"):
                yield number, cell
        elif bare and not bare.startswith("#"):
            if not lines:
                start = number
            lines.append(re.sub(r"^([-*]|\d+\.)\s+", "", bare))
    if lines:
        yield start, " ".join(lines)


def paragraphs_of_comments(text, mark):
    """Yields (line, text) for each paragraph of comments that begin with `mark` and what follows it."""
    block, start = [], 0
    pattern = re.compile(r"^\s*" + mark + r"(.*)$")
    for number, line in enumerate([*text.splitlines(), ""], 1):
        found = pattern.match(line)
        if found:
            if not block:
                start = number
            block.append(found.group(1).removeprefix(" "))
        elif block:
            for offset, paragraph in paragraphs_of_markdown("\n".join(block)):
                yield start + offset - 1, paragraph
            block = []


def sentences(paragraph):
    text = re.sub(r"`[^`]*`", "code", paragraph)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for sentence in re.split(r"(?<=[.!?])\s+(?=\S)", text):
        words = [word for word in sentence.split() if re.search(r"\w", word)]
        if words:
            yield words, sentence


def areas():
    yield "readme", [(name, paragraphs_of_markdown) for name in tracked("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    yield "docs", [(name, paragraphs_of_markdown) for name in tracked("docs/*.md", "docs/**/*.md")]
    rust = lambda text: paragraphs_of_comments(text, "//[/!]?")
    yield "src", [(name, rust) for name in tracked("src/*.rs")]
    yield "tests", [(name, rust) for name in tracked("tests/*.rs", "benches/*.rs", "fuzz/*.rs")]
    yield "sql", [(name, lambda text: paragraphs_of_comments(text, "--")) for name in tracked("sql/*.sql")]
    yield "samples", [(name, lambda text: paragraphs_of_comments(text, "#")) for name in tracked("samples/*.toml", "samples/crontab")]


def main():
    allowed = dict(line.split() for line in ALLOWED.read_text().splitlines() if line and not line.startswith("#"))
    failed = 0
    for area, files in areas():
        longer, words_in_all, sentences_in_all = 0, 0, 0
        for name, paragraphs in files:
            for line, paragraph in paragraphs((ROOT / name).read_text()):
                for words, sentence in sentences(paragraph):
                    words_in_all += len(words)
                    sentences_in_all += 1
                    if len(words) > MOST_WORDS:
                        longer += 1
                        if "--list" in sys.argv:
                            print(f"{name}:{line}: {len(words)} words: {sentence}")
        mean = words_in_all / max(sentences_in_all, 1)
        most = int(allowed.get(area, 0))
        print(f"{area}: {sentences_in_all} sentences, {mean:.1f} words on average, {longer} longer than {MOST_WORDS} words ({most} allowed)")
        if longer > most:
            print(f"  {longer - most} too many: shorten them (`tests/prose/check.py --list` names them)")
            failed += 1
        elif longer < most:
            print(f"  fewer than allowed: write {area} {longer} into tests/prose/allowed")
        if mean > MEAN_WORDS:
            print(f"  more than {MEAN_WORDS} words on average")
            failed += 1
    return 1 if failed else 0


sys.exit(main())
