#!/usr/bin/env python3
"""Compiles seccomp profiles with libseccomp, called as runc calls it: every rule in the profile's order, rules that
repeat the default action and names that libseccomp does not know left out, rules that name an argument twice split.

    libseccomp.py LIBRARY DIRECTORY

Reads DIRECTORY/*.json, each {"native": "SCMP_ARCH_...", "profile": an OCI profile}, and writes for each of them a
.libseccomp: {"version": "2.6.0", "instructions": [struct sock_filter as one integer, ...], "names": {name: what
libseccomp takes it for}, "microseconds": what it took, this script's part included}, or with {"refused": why} instead of the instructions. Names that are missing it does not know.
No root, no Python packages; the library needs not be installed.
"""

import ctypes
import errno
import glob
import json
import os
import struct
import sys
import tempfile
import time

ACTIONS = {
    "KILL": 0,
    "KILL_THREAD": 0,
    "KILL_PROCESS": 0x8000_0000,
    "TRAP": 0x0003_0000,
    "ERRNO": 0x0005_0000,
    "TRACE": 0x7FF0_0000,
    "LOG": 0x7FFC_0000,
    "ALLOW": 0x7FFF_0000,
    "NOTIFY": 0x7FC0_0000,
}
# enum scmp_compare
OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
ATTRIBUTE_OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
UNKNOWN_NAME = -1  # __NR_SCMP_ERROR
RETURN = 0x06  # BPF_RET | BPF_K


class Refused(Exception):
    pass


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = [("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Version(ctypes.Structure):
    """struct scmp_version"""

    _fields_ = [("major", ctypes.c_uint), ("minor", ctypes.c_uint), ("micro", ctypes.c_uint)]


def load(path):
    """The library, and its version."""
    library = ctypes.CDLL(path)
    context, word = ctypes.c_void_p, ctypes.c_uint32
    library.seccomp_init.restype = context
    library.seccomp_init.argtypes = [word]
    library.seccomp_release.argtypes = [context]
    library.seccomp_release.restype = None
    library.seccomp_arch_add.argtypes = library.seccomp_arch_remove.argtypes = [context, word]
    library.seccomp_syscall_resolve_num_arch.restype = context
    library.seccomp_syscall_resolve_num_arch.argtypes = [word, ctypes.c_int]
    library.seccomp_arch_native.restype = library.seccomp_arch_resolve_name.restype = word
    library.seccomp_attr_set.argtypes = [context, ctypes.c_int, word]
    library.seccomp_rule_add_array.argtypes = [context, word, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]
    library.seccomp_export_bpf.argtypes = [context, ctypes.c_int]
    library.seccomp_version.restype = ctypes.POINTER(Version)
    library.seccomp_api_set(7)  # what the library can, not what this kernel can
    version = library.seccomp_version().contents
    return library, f"{version.major}.{version.minor}.{version.micro}"


def action(name, errno_return):
    name = name.removeprefix("SCMP_ACT_")
    takes = name in ("ERRNO", "TRACE")
    return ACTIONS[name] | ((errno.EPERM if errno_return is None else errno_return) if takes else 0)


def comparison(arg):
    operator = 1 + OPERATORS.index(arg["op"].removeprefix("SCMP_CMP_"))
    return Comparison(arg["index"], operator, arg["value"], arg.get("valueTwo") or 0)


def check(result, what):
    if result < 0:
        raise Refused(f"{errno.errorcode.get(-result, result)}: {what}")


def resolve(library, name, cache={}):
    """(the number of a name, the name that libseccomp makes of it again); None if it does not know the name. It looks
    up the number on this machine's architecture, a negative one for a call that only others have, and translates that
    for each architecture of the filter by its name. Some negative numbers have two names."""
    if name not in cache:
        number = library.seccomp_syscall_resolve_name(name.encode())
        cache[name] = None
        if number != UNKNOWN_NAME:
            again = library.seccomp_syscall_resolve_num_arch(library.seccomp_arch_native(), number)
            cache[name] = number, ctypes.string_at(again).decode() if again else name
    return cache[name]


def add_rules(library, context, profile, default, known):
    for number, rule in enumerate(profile.get("syscalls") or []):
        answer = action(rule["action"], rule.get("errnoRet"))
        if answer == default:
            continue
        args = [comparison(arg) for arg in rule.get("args") or []]
        twice = len({arg.argument for arg in args}) < len(args)
        for name in filter(known.get, rule["names"]):
            for alternative in [[arg] for arg in args] if twice else [args]:
                array = (Comparison * len(alternative))(*alternative)
                result = library.seccomp_rule_add_array(context, answer, known[name][0], len(alternative), array)
                check(result, f"syscalls[{number}] {name}")


def compile_with(library, native, profile, known):
    """The instructions."""
    token = lambda name: library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = library.seccomp_init(default)
    try:
        # Another architecture's runtime would begin with its own instead of this machine's.
        tokens = [token(name) for name in [native, *(profile.get("architectures") or [])]]
        if 0 in tokens:
            raise Refused("an architecture that it does not know")
        if tokens[0] != library.seccomp_arch_native():
            check(library.seccomp_arch_remove(context, library.seccomp_arch_native()), "seccomp_arch_remove")
            check(library.seccomp_arch_add(context, tokens[0]), native)
        for other in dict.fromkeys(tokens):
            if other != tokens[0]:
                check(library.seccomp_arch_add(context, other), "architectures")
        # As runc does, which has one entry for each name.
        if sum(len(rule["names"]) for rule in profile.get("syscalls") or []) > 32:
            check(library.seccomp_attr_set(context, ATTRIBUTE_OPTIMIZE, 2), "optimize")
        add_rules(library, context, profile, default, known)
        with tempfile.TemporaryFile() as file:
            check(library.seccomp_export_bpf(context, file.fileno()), "seccomp_export_bpf")
            file.seek(0)
            program = file.read()
    finally:
        library.seccomp_release(context)
    return list(instructions(program))


def instructions(program):
    """Each as our template has it. For a big-endian architecture they are in its byte order, so that they could be
    carried there; but some of the answers are not, and would only be right if libseccomp ran on such a machine."""
    big = program[0] == 0  # it begins with a load: 0x0020
    for code, jt, jf, k in struct.iter_unpack(">HBBI" if big else "<HBBI", program):
        if code == RETURN and not is_answer(k):
            k = int.from_bytes(k.to_bytes(4, "big"), "little")
        yield code << 48 | jt << 40 | jf << 32 | k


def is_answer(value):
    kind, number = value & 0xFFFF_0000, value & 0xFFFF
    return kind in ACTIONS.values() and (number == 0 or kind in (ACTIONS["ERRNO"], ACTIONS["TRACE"]))


def main():
    library, version = load(sys.argv[1])
    for path in sorted(glob.glob(os.path.join(sys.argv[2], "*.json"))):
        with open(path) as file:
            document = json.load(file)
        profile = document["profile"]
        names = {name for rule in profile.get("syscalls") or [] for name in rule["names"]}
        known = {name: found for name in names if (found := resolve(library, name))}
        answer = {"version": version, "names": {name: again for name, (_, again) in known.items()}}
        begin = time.monotonic()
        try:
            answer["instructions"] = compile_with(library, document["native"], profile, known)
        except Refused as refused:
            answer["refused"] = str(refused)
        answer["microseconds"] = round((time.monotonic() - begin) * 1e6)
        with open(path.removesuffix(".json") + ".libseccomp", "w") as file:
            json.dump(answer, file)


main()
