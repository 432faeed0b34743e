"""How a client wants a body packed (RFC 9110, 12.5.3)."""

import re

_CODING = re.compile(r"\s*([a-z0-9*-]+)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?").fullmatch


def wants_gzip(accept_encoding: str) -> bool:
    """Whether gzip is acceptable, and no less than the plain body where that is named. What cannot be read
    of the header asks for nothing.

    >>> wants_gzip("br, GZIP;q=0.5"), wants_gzip("*"), wants_gzip("x-gzip")
    (True, True, True)
    >>> wants_gzip(""), wants_gzip("gzip;q=0, *"), wants_gzip("gzip;q=0.5, identity"), wants_gzip("gzip;q=x")
    (False, False, False, False)
    """
    read = filter(None, map(_CODING, accept_encoding.lower().split(",")))
    weights = {coding[1]: float(coding[2] or 1) for coding in read}
    weight = next((weights[name] for name in ("gzip", "x-gzip", "*") if name in weights), 0.0)
    return weight > 0 and weight >= weights.get("identity", 0.0)
