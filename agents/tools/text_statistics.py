"""Counts what a text is made of: {"text": "…"} as JSON on stdin, the counts as JSON on stdout."""

import json
import math
import re
import sys

WORDS_A_MINUTE = 230

text = json.load(sys.stdin)["text"]
words = re.findall(r"\w+(?:['’-]\w+)*", text)
sentences = [part for part in re.split(r"[.!?…]+(?:\s+|$)", text) if part.strip()]
paragraphs = [part for part in re.split(r"\n\s*\n", text) if part.strip()]

json.dump(
    {
        "characters": len(text),
        "words": len(words),
        "sentences": len(sentences),
        "paragraphs": len(paragraphs),
        "reading_minutes": math.ceil(len(words) / WORDS_A_MINUTE),
    },
    sys.stdout,
)
