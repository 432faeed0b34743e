"""Text under GEN-5: any Unicode but U+0000. Lone surrogates never pass the parsers."""

from typing import Annotated

from pydantic import StringConstraints

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
