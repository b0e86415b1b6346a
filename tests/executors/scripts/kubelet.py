"""Starts the container of a pod as a kubelet would, on a host of the lab: volumes, variables, names, command.

    python kubelet.py POD.json

POD.json: {pod: the pod's spec, config: data by ConfigMap, secrets: values by Secret, claims: folder, volumes: folder,
name, addresses: address by name, index}. Runs in mount and UTS namespaces of its own, which end with it; /run is empty
there, so mount points below it can be made.

Source: kubernetes@v1.34 pkg/volume/util/atomic_writer.go (files behind `..data`), pkg/kubelet/kubelet_pods.go
(makeEnvironmentVariables), third_party/forked/golang/expansion/expand.go.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path


def main():
    order = json.loads(Path(sys.argv[1]).read_text())
    socket.sethostname(order["name"])
    mount("-t", "tmpfs", "tmpfs", "/run")
    hosts = Path(order["volumes"], "hosts")
    hosts.write_text("".join(f"{address} {name}\n" for name, address in order["addresses"].items()))
    mount("--bind", hosts, "/etc/hosts")
    pod = order["pod"]
    (container,) = pod["containers"]
    places = {volume["name"]: volume_folder(volume, order) for volume in pod["volumes"]}
    # outer mounts before those that lie in them
    for entry in sorted(container["volumeMounts"], key=lambda entry: entry["mountPath"].count("/")):
        mount_volume(entry, places[entry["name"]])
    env = {"PATH": os.environ["PATH"], "HOME": "/root", "HOSTNAME": order["name"]}
    env["JOB_COMPLETION_INDEX"] = str(order["index"])
    for entry in container["env"]:
        env[entry["name"]] = value_of(entry, env, order["secrets"])
    words = [expanded(word, env) for word in container["command"]]
    os.execvpe(words[0], words, env)


def volume_folder(volume, order):
    """Where a volume lies on the host."""
    name, kind = volume["name"], next(key for key in volume if key != "name")
    if kind == "hostPath":
        return Path(volume[kind]["path"])
    if kind == "persistentVolumeClaim":
        return Path(order["claims"], volume[kind]["claimName"])
    place = Path(order["volumes"], name)
    place.mkdir()
    if kind == "configMap":
        data = order["config"][volume[kind]["name"]]
        written = place / "..2026_11_22_06_30_13.123456789"
        written.mkdir()
        for item in volume[kind]["items"]:
            (written / item["path"]).write_text(data[item["key"]])
            (place / item["path"]).symlink_to(f"..data/{item['path']}")
        (place / "..data").symlink_to(written.name)
    elif volume[kind].get("medium") == "Memory":
        mount("-t", "tmpfs", "tmpfs", place)
    else:
        assert kind == "emptyDir", kind
        place.chmod(0o777)
    return place


def mount_volume(entry, source):
    """One entry of volumeMounts."""
    target = Path(entry["mountPath"])
    source = (source / entry.get("subPath", "")).resolve(strict=True)
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.touch()
    mount("--bind", source, target)
    if entry.get("readOnly"):
        mount("-o", "remount,bind,ro", target)


def value_of(entry, env, secrets):
    if "value" in entry:
        return expanded(entry["value"], env)
    wanted = entry["valueFrom"]["secretKeyRef"]
    return secrets[wanted["name"]][wanted["key"]]


def expanded(text, env):
    """`$(NAME)` of a variable that is set before; `$$` is `$`; everything else stays."""

    def value(match):
        if match[1] == "$":
            return "$"
        name = match[1][1:-1]
        return env.get(name, match[0]) if match[1].startswith("(") else match[0]

    return re.sub(r"\$(\$|\([^)]*\)|.)", value, text, flags=re.DOTALL)


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


main()
