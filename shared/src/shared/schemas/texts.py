"""Text under GEN-5: any Unicode but U+0000. Lone surrogates never pass the parsers."""

from typing import Annotated

from pydantic import AfterValidator


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold U+0000")
    return text


Text = Annotated[str, AfterValidator(_without_nul)]
