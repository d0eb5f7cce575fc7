"""Mutants of C sources: small changes of the text that a test should notice.

A mutant replaces one piece of text. Comments, strings and static assertions are left alone, and of
the preprocessor's lines only what a macro stands for is touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

OPERATORS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&",
    "+": "-", "-": "+", "*": "+", "/": "*", "%": "/", "&": "|", "|": "&", "^": "|",
    "<<": ">>", ">>": "<<", "+=": "-=", "-=": "+=", "&=": "|=", "|=": "&=", "^=": "|=",
    "<<=": ">>=", ">>=": "<<=", "++": "--", "--": "++", "~": "", "!": "",
}
# These are something else where clang-format puts no space on both sides.
ALSO_UNARY = {"+", "-", "*", "&"}
# One status for another; and what is false is true.
WORDS = {"true": "false", "false": "true", "PT_OK": "PT_ERR_RANGE", "PT_ERR_RANGE": "PT_ERR_LEVEL"}

TOKEN = re.compile(r"""
    (?P<word>[A-Za-z_]\w*) | (?P<number>0[xX][0-9a-fA-F]+|\d+)(?P<suffix>[uUlL]*) |
    (?P<sign><<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\.\.\.|\S)""", re.X)
IGNORED = re.compile(r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' |
    ^[ \t]*\#[ \t]*define[ \t]+\w+(?:\([^)]*\))? | ^[ \t]*\#(?![ \t]*define)[^\n]* |
    \b_Static_assert\s*\(.*?\)\s*; | \\$""", re.X | re.S | re.M)


@dataclass(frozen=True)
class Mutant:
    """text[start:end] of a file becomes `new`."""

    path: Path
    kind: str  # operator, constant, branch or statement
    start: int
    end: int
    new: str

    def apply(self, text: str) -> str:
        """The whole text of the mutated file."""
        return text[:self.start] + self.new + text[self.end:]

    def _lines(self, text: str, end: int) -> str:
        first = text.rfind("\n", 0, self.start) + 1
        last = text.find("\n", end)
        return " ".join(text[first:last if last >= 0 else len(text)].split())

    def before(self, text: str) -> str:
        """The lines that it touches, on one line."""
        return self._lines(text, self.end)

    def after(self, text: str) -> str:
        """The same lines of the mutated text."""
        return self._lines(self.apply(text), self.start + len(self.new))

    def where(self, text: str) -> str:
        """file:line"""
        return f"{self.path}:{text.count(chr(10), 0, self.start) + 1}"


class Source:
    """A file as tokens, with a search for the mutants in it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        code = IGNORED.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
        self._code = code
        self._tokens = list(TOKEN.finditer(code))
        self._text = [token[0] for token in self._tokens]
        self._partner = self._match_brackets()

    def _match_brackets(self) -> dict[int, int]:
        """Each bracket's partner, by index."""
        partner: dict[int, int] = {}
        opened: list[int] = []
        for i, text in enumerate(self._text):
            if text in ("(", "[", "{"):
                opened.append(i)
            elif text in (")", "]", "}") and opened:
                partner[i] = opened.pop()
                partner[partner[i]] = i
        return partner

    def _mutant(self, kind: str, first: int, last: int, new: str) -> Mutant:
        """Replaces the tokens from the first to the last."""
        return Mutant(self.path, kind, self._tokens[first].start(), self._tokens[last].end(), new)

    def _part(self, first: int, end: int) -> str:
        """The code of some tokens."""
        if first >= end:
            return ""
        return self._code[self._tokens[first].start():self._tokens[end - 1].end()]

    def mutants(self) -> list[Mutant]:
        """All of them, each once."""
        found = [*self._tokenwise(), *self._branches(), *self._statements()]
        return sorted(set(found), key=lambda m: (m.start, m.end, m.kind, m.new))

    # ---- operators and constants

    def _tokenwise(self) -> Iterator[Mutant]:
        for i, token in enumerate(self._tokens):
            if token["number"]:
                for new in self._numbers(token):
                    yield self._mutant("constant", i, i, new)
            elif token["word"] in WORDS:
                yield self._mutant("constant", i, i, WORDS[token[0]])
            elif token[0].startswith("PT_ERR_"):
                yield self._mutant("constant", i, i, "PT_ERR_RANGE")
            elif token[0] in OPERATORS and self._is_operator(i):
                yield self._mutant("operator", i, i, OPERATORS[token[0]])

    def _is_operator(self, i: int) -> bool:
        token = self._tokens[i]
        if token[0] not in ALSO_UNARY:
            return True
        around = self._code[token.start() - 1] + self._code[token.end()]
        return around.isspace() and self._text[i - 1] not in ("(", ",", "return")

    @staticmethod
    def _numbers(token: re.Match[str]) -> list[str]:
        value = int(token["number"], 0)
        near = [value + 1] + ([value - 1] if value > 0 else [])
        return [(hex(n) if token["number"][:2] in ("0x", "0X") else str(n)) + token["suffix"]
                for n in near]

    # ---- branches

    def _branches(self) -> Iterator[Mutant]:
        for i, text in enumerate(self._text):
            if text in ("if", "while") and self._text[i + 1] == "(":
                yield self._negate(i + 2, self._partner[i + 1])
            elif text == "for" and self._text[i + 1] == "(":
                yield from self._loop(i + 2, self._partner[i + 1])
            elif text == "?":
                yield from self._choice(i)

    def _negate(self, first: int, end: int) -> Mutant:
        return self._mutant("branch", first, end - 1, f"!({self._part(first, end)})")

    def _loop(self, first: int, end: int) -> Iterator[Mutant]:
        ends = [i for i in range(first, end) if self._text[i] == ";"]
        if len(ends) == 2 and ends[1] > ends[0] + 1:
            yield self._negate(ends[0] + 1, ends[1])

    def _choice(self, mark: int) -> Iterator[Mutant]:
        """Exchanges the arms of mark ? one : other."""
        colon = self._skip(mark + 1, (":",))
        end = self._skip(colon + 1, (":", ",", ";", ")", "]", "}"))
        one, other = self._part(mark + 1, colon), self._part(colon + 1, end)
        if one and other:
            yield self._mutant("branch", mark + 1, end - 1, f"{other} : {one}")

    def _skip(self, i: int, stops: tuple[str, ...]) -> int:
        """The first of these tokens from i on, outside of brackets and choices in between."""
        choices = 0
        while i < len(self._text):
            text = self._text[i]
            if text in stops and not (text == ":" and choices):
                return i
            choices += (text == "?") - (text == ":")
            i = self._partner.get(i, i) + 1 if text in ("(", "[", "{") else i + 1
        return i

    # ---- statements

    def _statements(self) -> Iterator[Mutant]:
        for i in range(1, len(self._text)):
            if not self._begins_statement(i):
                continue
            end = self._skip(i, (";", "{", "}"))
            if end < len(self._text) and self._text[end] == ";" and end > i:
                yield self._mutant("statement", i, end, ";")

    def _begins_statement(self, i: int) -> bool:
        before, text = self._text[i - 1], self._text[i]
        if text in ("if", "for", "while", "switch", "do", "else", "case", "default", "}", "{", ";"):
            return False
        if not self._in_function(i):
            return False
        if before == ")":
            return self._text[self._partner[i - 1] - 1] in ("if", "for", "while", "switch")
        if before == ":":
            return self._text[i - 2] == "default" or self._text[i - 3] == "case"
        return before in (";", "{", "}", "else", "do")

    def _in_function(self, i: int) -> bool:
        """True in the braces of a block, outside of all others."""
        opened = [b for b in self._partner if b < i < self._partner[b]]
        return bool(opened) and all(self._opens_block(b) for b in opened)

    def _opens_block(self, brace: int) -> bool:
        if self._text[brace] != "{":
            return False
        if self._text[brace - 1] in ("else", "do"):
            return True
        if self._text[brace - 1] != ")":
            return False
        head = self._tokens[self._partner[brace - 1] - 1]
        return head["word"] is not None and head[0] not in ("return", "sizeof")
