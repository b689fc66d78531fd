#!/usr/bin/env python3
"""Writes the default seccomp profiles of Docker, Podman and containerd as these engines hand them to a runtime: for each of
their architectures, for several sets of capabilities, and for an old and a new kernel.

    profiles.py TREE DIRECTORY

TREE is where the Debian packages are unpacked. What Docker and Podman do with their profiles is done here; containerd has a
Go program instead of a profile, which is run (containerd.go). DIRECTORY gets files {"native": ..., "profile": ...}.
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

# GOARCH: the native architecture of the runtime there.
NATIVE = {
    "amd64": "X86_64",
    "386": "X86",
    "arm64": "AARCH64",
    "arm": "ARM",
    "riscv64": "RISCV64",
    "s390x": "S390X",
    "ppc64le": "PPC64LE",
    "mips64": "MIPS64",
    "mips64le": "MIPSEL64",
    "mipsle": "MIPSEL",
    "loong64": "LOONGARCH64",
}
# The names that the profiles have for some of them.
WORDS = {"386": "x86", "mips64le": "mipsel64", "mipsle": "mipsel"}
ENGINES_OWN = "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
SPECIAL = "BPF DAC_READ_SEARCH PERFMON SYSLOG SYS_ADMIN SYS_BOOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG"
CAPABILITIES = {"none": "", "default": ENGINES_OWN, "special": SPECIAL, "all": f"{ENGINES_OWN} {SPECIAL}"}
KERNELS = {"old": (3, 10), "new": (7, 0)}


def capabilities(words):
    return ["CAP_" + word for word in words.split()]


def applies(rule, word, bounding, kernel):
    """Does a rule of a profile hold there? Docker's setupSeccomp(); Podman's is the same."""
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    least = lambda limits: kernel >= tuple(map(int, limits["minKernel"].split(".")))
    return not (
        word in (excludes.get("arches") or [])
        or set(excludes.get("caps") or []) & set(bounding)
        or excludes.get("minKernel") and least(excludes)
        or includes.get("arches") and word not in includes["arches"]
        or not set(includes.get("caps") or []) <= set(bounding)
        or includes.get("minKernel") and not least(includes)
    )


def from_json(path, goarch, bounding, kernel):
    with open(path) as file:
        document = json.load(file)
    word, native = WORDS.get(goarch, goarch), "SCMP_ARCH_" + NATIVE[goarch]
    profile = {key: document[key] for key in ("defaultAction", "defaultErrnoRet") if document.get(key) is not None}
    maps = [entry for entry in document["archMap"] if entry["architecture"] == native]
    profile["architectures"] = [native, *(maps[0].get("subArchitectures") or [])] if maps else []
    fields = "names", "action", "errnoRet", "args"
    rules = [rule for rule in document["syscalls"] if applies(rule, word, bounding, kernel)]
    profile["syscalls"] = [{key: rule[key] for key in fields if rule.get(key) is not None} for rule in rules]
    return profile


def containerd(tree, directory):
    """{(GOARCH, capabilities): profile}, by containerd's own function, which then believes what it is told of the machine."""
    go = os.path.join(tree, "usr/share/gocode")
    [source] = glob.glob(f"{go}/src/github.com/containerd/containerd/contrib/seccomp/seccomp_default.go")
    with open(source) as file:
        text = file.read()
    with open(source, "w") as file:
        file.write(re.sub(r"\bruntime\.GOARCH\b", 'os.Getenv("PROFILE_ARCH")', text).replace('"runtime"', '"os"'))
    os.remove(os.path.join(os.path.dirname(source), "seccomp.go"))  # for loading files: half of containerd hangs on it
    program = os.path.join(directory, "containerd")
    environment = {**os.environ, "GOPATH": go, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    main = os.path.join(os.path.dirname(os.path.abspath(__file__)), "containerd.go")
    subprocess.run(["go", "build", "-o", program, main], env=environment, check=True)
    profiles = {}
    for goarch in NATIVE:
        for name, words in CAPABILITIES.items():
            command = [program, *capabilities(words)]
            output = subprocess.run(command, env={"PROFILE_ARCH": goarch}, check=True, stdout=subprocess.PIPE).stdout
            profiles[goarch, name] = json.loads(output)
    return profiles


def main():
    tree, directory = sys.argv[1:]
    docker = f"{tree}/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json"
    podman = f"{tree}/usr/share/containers/seccomp.json"
    with tempfile.TemporaryDirectory() as scratch:
        found = {("containerd", *of, "this"): profile for of, profile in containerd(tree, scratch).items()}
    for engine, path in [("docker", docker), ("podman", podman)]:
        for goarch in NATIVE:
            for caps, words in CAPABILITIES.items():
                for kernel, version in KERNELS.items():
                    found[engine, goarch, caps, kernel] = from_json(path, goarch, capabilities(words), version)
    for (engine, goarch, caps, kernel), profile in found.items():
        name = f"{engine}-{goarch}-{caps}-{kernel}.json"
        with open(os.path.join(directory, name), "w") as file:
            json.dump({"native": "SCMP_ARCH_" + NATIVE[goarch], "profile": profile}, file)


main()
