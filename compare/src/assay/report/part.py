"""What every part of the results is: closed, and never changed."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(Part):
    """The centre over rounds with its interval: 95 %, or more where several are told together."""

    value: float
    low: float
    high: float
