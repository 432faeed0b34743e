# Every recipe runs through uv: `uv run just NAME` needs nothing installed beside uv.

set positional-arguments

# List the recipes.
default:
    @{{ just_executable() }} --list --unsorted

# Install everything that the repository uses, at its pinned versions.
[group('setup')]
setup:
    uv sync --all-packages --all-groups
    {{ just_executable() }} lock-check
    uv run prek install

# Move the pins to the newest versions that fit together.
[group('setup')]
lock:
    uv run python docker/lock.py lock

# Fail if what uv resolves is not what is pinned.
[group('setup')]
lock-check:
    uv run python docker/lock.py check

# Databases and all four services, until Ctrl-C.
[group('run')]
up *ARGS:
    uv run --all-packages assay up "$@"

# One service on the database that the environment names: just serve asyncpg --port 8001
[group('run')]
serve *ARGS:
    uv run --all-packages assay serve "$@"

# All tests: the contract on every backend, then each room's own.
[group('test')]
test: contract units

# The contract suite on all backends, or: just contract --service motor
[group('test')]
contract *ARGS:
    uv run --all-packages pytest contract_tests "$@"

# What is each room's own: rules, layers, stand, measurements, report.
[group('test')]
units *ARGS:
    uv run --all-packages pytest --doctest-modules shared services compare -q "$@"

# The four services driven in step by random requests: just sequences 1000
[group('test')]
sequences COUNT="1000":
    uv run --all-packages pytest contract_tests/stateful --sequences {{ COUNT }}

# Prove equal work, measure, and write out/report.html: just compare --quick
[group('compare')]
compare *ARGS:
    uv run --all-packages assay compare "$@"

# The services against bare drivers, as ratios of CPU for each request.
[group('compare')]
bench-floor *ARGS:
    uv run --all-packages python -m assay.measure.bench_floor "$@"

# The load generator against wrk, on a bare application.
[group('compare')]
bench-generator:
    uv run --all-packages python -m assay.measure.selfcheck

# Format, lint and type-check.
[group('quality')]
lint:
    uv run --all-packages ruff format --check
    uv run --all-packages ruff check
    {{ just_executable() }} types

# Type-check; tests apart, as they are no packages and share names.
[group('quality')]
types:
    uv run --all-packages mypy shared/src services/*/src compare/src compare/tests docker
    for tests in services/*/tests; do uv run --all-packages mypy "$tests" || exit 1; done
    MYPYPATH=contract_tests uv run --all-packages mypy --explicit-package-bases contract_tests

# Put into shape what can be put into shape by itself.
[group('quality')]
format:
    uv run --all-packages ruff format
    uv run --all-packages ruff check --fix

# Write again what is generated: the table of divergences, the schema of results.
[group('quality')]
generate:
    uv run python contract_tests/divergences.py
    uv run --all-packages python -m assay.report.json_file
