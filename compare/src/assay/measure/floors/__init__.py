"""Floors: the least that an answer can cost on each database, as arms beside the services.

`python -m assay.measure.floors NAME --port N` serves one, under the services' own uvicorn settings. A floor
has no validation, no framework and none of the contract's extras: what a service costs above it is what those
cost. It works on the tables of the asyncpg service and on the collections of the motor service, and sends
them what those services send: what it stores, they can read.
"""
