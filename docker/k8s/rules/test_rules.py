"""What the manifests must say, whoever changes them."""

from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from rendering import OVERLAYS, Manifest, Rendered, container, environment, pod, render, secret_files, selects

from shared.http.access import OPEN_PATHS
from shared.registry import Database, names, services
from shared.settings import Settings

USER = 10001
TOGETHER = "side-by-side"
PORTS = {"postgresql": 5432, "mongodb": 27017}
URLS = {"postgresql": "database_url", "mongodb": "mongodb_url"}

POSTGRESQL_CONNECTIONS = 97
"""`max_connections` and `superuser_reserved_connections` as PostgreSQL 18 has them, 100 and 3."""


ONES = set(OVERLAYS) - {TOGETHER}


@pytest.fixture(params=[f"overlays/{name}" for name in OVERLAYS if name == TOGETHER])
def together(request: pytest.FixtureRequest) -> Rendered:
    """Where one service is kept alone, there is none."""
    return render(request.param)


def test_an_overlay_is_for_a_service_that_is_here_or_for_all_that_have_one() -> None:
    assert ONES
    assert set(names()) >= ONES


def test_all_that_have_an_overlay_are_in_the_one_for_all(together: Rendered) -> None:
    deployed = {deployment["metadata"]["name"] for deployment in together.of("Deployment")}
    assert deployed == {f"assay-{name}" for name in ONES}


def test_a_container_may_do_nothing_but_run(rendered: Rendered) -> None:
    assert rendered.workloads
    for workload in rendered.workloads:
        spec, own = pod(workload), container(workload)["securityContext"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == USER
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert not any("hostPath" in volume for volume in spec["volumes"])
        assert "initContainers" not in spec


def test_a_container_says_what_it_needs_and_what_it_may_take(rendered: Rendered) -> None:
    for workload in rendered.workloads:
        resources = container(workload)["resources"]
        assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}


def test_probes_ask_paths_that_want_no_token_at_the_port_that_is_served(rendered: Rendered) -> None:
    for deployment in rendered.of("Deployment"):
        service = container(deployment)
        probes = {kind: service[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {kind: probe["path"] for kind, probe in probes.items()} == {
            "startup": "/livez",
            "liveness": "/livez",
            "readiness": "/readyz",
        }
        assert {probe["path"] for probe in probes.values()} <= OPEN_PATHS
        (port,) = service["ports"]
        assert {probe["port"] for probe in probes.values()} == {port["name"]}
        assert service["command"][-2:] == ["--port", str(port["containerPort"])]


def test_a_pod_has_the_time_to_end_well(rendered: Rendered) -> None:
    for deployment in rendered.of("Deployment"):
        asleep = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        grace = float(environment(deployment, rendered)["SHUTDOWN_GRACE"])
        assert asleep > 0
        assert pod(deployment)["terminationGracePeriodSeconds"] > asleep + grace


def test_whoever_is_scaled_is_there_and_one_of_its_pods_may_go(rendered: Rendered) -> None:
    deployments = rendered.of("Deployment")
    scalers = rendered.of("HorizontalPodAutoscaler")
    budgets = rendered.of("PodDisruptionBudget")
    assert len(deployments) == len(scalers) == len(budgets) >= 1
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        deployment = rendered.called(target["kind"], target["name"])
        assert "replicas" not in deployment["spec"]
        assert scaler["spec"]["minReplicas"] >= 2
        (budget,) = (one for one in budgets if selects(one["spec"]["selector"]["matchLabels"], deployment))
        assert budget["spec"]["maxUnavailable"] < scaler["spec"]["minReplicas"]


def test_a_network_policy_and_no_other_pods_service_selects_each_pod(rendered: Rendered) -> None:
    policies = rendered.of("NetworkPolicy")
    for workload in rendered.workloads:
        (policy,) = (one for one in policies if selects(one["spec"]["podSelector"]["matchLabels"], workload))
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        served = [one for one in rendered.of("Service") if selects(one["spec"]["selector"], workload)]
        assert len(served) == (1 if workload["kind"] == "Deployment" else 0)


def test_the_network_policy_lets_a_service_out_to_its_own_database_alone(overlay: Rendered) -> None:
    for deployment in overlay.of("Deployment"):
        database = _database(deployment)
        policy = overlay.called("NetworkPolicy", deployment["metadata"]["name"])
        out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert out & set(PORTS.values()) == {PORTS[database]}


def test_no_secret_has_a_value_here(rendered: Rendered) -> None:
    assert not rendered.of("Secret")
    secrets = {name for name, field in Settings.model_fields.items() if SecretStr in _types(field.annotation)}
    assert "auth_secret" in secrets
    for workload in rendered.workloads:
        written = environment(workload, rendered)
        assert not {name.lower() for name in written} & (secrets | set(URLS.values()))
        assert not any(urlsplit(value).password for value in written.values())


def test_every_variable_and_every_file_of_secrets_is_a_setting(rendered: Rendered) -> None:
    for workload in rendered.workloads:
        variables = environment(workload, rendered)
        folder = variables.pop("SECRETS_DIR")
        assert {name.lower() for name in variables} <= Settings.model_fields.keys()
        assert set(secret_files(workload)) <= Settings.model_fields.keys()
        (mount,) = (mount for mount in container(workload)["volumeMounts"] if mount["name"] == "secrets")
        assert mount["mountPath"] == folder


def test_the_variables_are_settings_that_a_service_starts_with(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workload in rendered.workloads:
        for name, value in environment(workload, rendered).items():
            monkeypatch.setenv(name, value)
        settings = Settings()
        assert settings.files_url.startswith("s3://") or rendered is render("base")


def test_a_service_gets_the_url_of_its_own_database_and_what_lets_it_listen(overlay: Rendered) -> None:
    for workload in overlay.workloads:
        database = _database(workload)
        files = set(secret_files(workload))
        assert files & set(URLS.values()) == {URLS[database]}
        assert ("auth_secret" in files) is (workload["kind"] == "Deployment")


def test_the_migration_is_that_of_the_service_in_the_same_image(overlay: Rendered) -> None:
    jobs = {_service_name(job): job for job in overlay.of("Job")}
    assert len(jobs) == len(overlay.of("Deployment"))
    for deployment in overlay.of("Deployment"):
        name = _service_name(deployment)
        assert container(jobs[name])["image"] == container(deployment)["image"]
        assert container(deployment)["image"].startswith(f"assay-{name}:")
        assert container(jobs[name])["command"] == ["python", "-m", f"{name}_service", "migrate"]
        assert container(deployment)["command"][:4] == ["python", "-m", f"{name}_service", "serve"]


def test_as_many_pods_as_there_may_be_leave_postgresql_connections(overlay: Rendered) -> None:
    for deployment in overlay.of("Deployment"):
        if _database(deployment) != "postgresql":
            continue
        variables = environment(deployment, overlay)
        wake_up = 1
        of_a_pod = int(variables["POOL_SIZE"]) + int(variables["EXPORT_CONNECTIONS"]) + wake_up
        scaler = overlay.called("HorizontalPodAutoscaler", deployment["metadata"]["name"])
        pods = scaler["spec"]["maxReplicas"] + deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
        migration = 1
        assert pods * of_a_pod + migration <= POSTGRESQL_CONNECTIONS


def test_what_the_gateway_takes_off_is_what_the_service_puts_back(together: Rendered) -> None:
    (route,) = together.of("HTTPRoute")
    rules = route["spec"]["rules"]
    assert len(rules) == len(together.of("Deployment"))
    for rule in rules:
        (match,), (rewrite,), (backend,) = rule["matches"], rule["filters"], rule["backendRefs"]
        service = together.called("Service", backend["name"])
        assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
        (deployment,) = (
            one for one in together.of("Deployment") if selects(service["spec"]["selector"], one)
        )
        assert environment(deployment, together)["ROOT_PATH"] == match["path"]["value"]
        assert rewrite["urlRewrite"]["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}


def _service_name(workload: Manifest) -> str:
    module: str = container(workload)["command"][2]
    return module.removesuffix("_service")


def _database(workload: Manifest) -> Database:
    (service,) = services(_service_name(workload))
    return service.database


def _types(annotation: object) -> tuple[object, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))
