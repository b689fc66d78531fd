//! The keys that a config.json may have, and what stands in their places: config.md, config-linux.md of runtime-spec 1.3.

/// The values that a place may have.
pub enum Shape {
    /// A value without keys of ours.
    Plain,
    Object(&'static [(&'static str, Shape)]),
    /// An object whose keys its author chooses.
    Map(&'static Shape),
    List(&'static Shape),
    /// A list of names of capabilities, which the parser takes without `CAP_`, and in lower case, too.
    Capabilities,
}

use Shape::{Capabilities, List, Map, Object, Plain};

/// A whole config.json. Sections of other platforms are not looked into.
pub static CONFIG: Shape = Object(&[
    ("ociVersion", Plain),
    ("root", Object(&[("path", Plain), ("readonly", Plain)])),
    ("mounts", List(&MOUNT)),
    ("process", PROCESS),
    ("hostname", Plain),
    ("domainname", Plain),
    ("hooks", HOOKS),
    ("annotations", Plain),
    ("linux", LINUX),
    ("solaris", Plain),
    ("windows", Plain),
    ("vm", Plain),
    ("zos", Plain),
    ("freebsd", Plain),
]);

/// The object of `exec --process`.
pub static OF_EXEC: Shape = PROCESS;

/// The object of `update --resources`.
pub static OF_UPDATE: Shape = RESOURCES;

const MOUNT: Shape = Object(&[
    ("destination", Plain),
    ("type", Plain),
    ("source", Plain),
    ("options", Plain),
    ("uidMappings", List(&MAPPING)),
    ("gidMappings", List(&MAPPING)),
]);

const MAPPING: Shape = Object(&[("containerID", Plain), ("hostID", Plain), ("size", Plain)]);

const PROCESS: Shape = Object(&[
    ("terminal", Plain),
    ("consoleSize", Object(&[("height", Plain), ("width", Plain)])),
    (
        "user",
        Object(&[("uid", Plain), ("gid", Plain), ("umask", Plain), ("additionalGids", Plain), ("username", Plain)]),
    ),
    ("args", Plain),
    ("commandLine", Plain),
    ("env", Plain),
    ("cwd", Plain),
    (
        "capabilities",
        Object(&[
            ("bounding", Capabilities),
            ("effective", Capabilities),
            ("inheritable", Capabilities),
            ("permitted", Capabilities),
            ("ambient", Capabilities),
        ]),
    ),
    ("rlimits", List(&Object(&[("type", Plain), ("hard", Plain), ("soft", Plain)]))),
    ("noNewPrivileges", Plain),
    ("apparmorProfile", Plain),
    ("oomScoreAdj", Plain),
    ("selinuxLabel", Plain),
    ("ioPriority", Object(&[("class", Plain), ("priority", Plain)])),
    (
        "scheduler",
        Object(&[
            ("policy", Plain),
            ("nice", Plain),
            ("priority", Plain),
            ("flags", Plain),
            ("runtime", Plain),
            ("deadline", Plain),
            ("period", Plain),
        ]),
    ),
    ("execCPUAffinity", Object(&[("initial", Plain), ("final", Plain)])),
]);

const HOOK: Shape = Object(&[("path", Plain), ("args", Plain), ("env", Plain), ("timeout", Plain)]);

const HOOKS: Shape = Object(&[
    ("prestart", List(&HOOK)),
    ("createRuntime", List(&HOOK)),
    ("createContainer", List(&HOOK)),
    ("startContainer", List(&HOOK)),
    ("poststart", List(&HOOK)),
    ("poststop", List(&HOOK)),
]);

const LINUX: Shape = Object(&[
    ("namespaces", List(&Object(&[("type", Plain), ("path", Plain)]))),
    ("uidMappings", List(&MAPPING)),
    ("gidMappings", List(&MAPPING)),
    ("timeOffsets", Map(&Object(&[("secs", Plain), ("nanosecs", Plain)]))),
    (
        "devices",
        List(&Object(&[
            ("type", Plain),
            ("path", Plain),
            ("major", Plain),
            ("minor", Plain),
            ("fileMode", Plain),
            ("uid", Plain),
            ("gid", Plain),
        ])),
    ),
    ("netDevices", Map(&Object(&[("name", Plain)]))),
    ("cgroupsPath", Plain),
    ("rootfsPropagation", Plain),
    ("resources", RESOURCES),
    ("seccomp", SECCOMP),
    ("sysctl", Plain),
    ("maskedPaths", Plain),
    ("readonlyPaths", Plain),
    ("mountLabel", Plain),
    (
        "intelRdt",
        Object(&[
            ("closID", Plain),
            ("schemata", Plain),
            ("l3CacheSchema", Plain),
            ("memBwSchema", Plain),
            ("enableCMT", Plain),
            ("enableMBM", Plain),
            ("enableMonitoring", Plain),
        ]),
    ),
    ("memoryPolicy", Object(&[("mode", Plain), ("nodes", Plain), ("flags", Plain)])),
    ("personality", Object(&[("domain", Plain), ("flags", Plain)])),
]);

const SECCOMP: Shape = Object(&[
    ("defaultAction", Plain),
    ("defaultErrnoRet", Plain),
    ("architectures", Plain),
    ("flags", Plain),
    ("listenerPath", Plain),
    ("listenerMetadata", Plain),
    (
        "syscalls",
        List(&Object(&[
            ("names", Plain),
            ("action", Plain),
            ("errnoRet", Plain),
            ("args", List(&Object(&[("index", Plain), ("value", Plain), ("valueTwo", Plain), ("op", Plain)]))),
        ])),
    ),
]);

const WEIGHT: Shape = Object(&[("major", Plain), ("minor", Plain), ("weight", Plain), ("leafWeight", Plain)]);
const THROTTLE: Shape = Object(&[("major", Plain), ("minor", Plain), ("rate", Plain)]);

const RESOURCES: Shape = Object(&[
    (
        "devices",
        List(&Object(&[("allow", Plain), ("type", Plain), ("major", Plain), ("minor", Plain), ("access", Plain)])),
    ),
    (
        "memory",
        Object(&[
            ("limit", Plain),
            ("reservation", Plain),
            ("swap", Plain),
            ("kernel", Plain),
            ("kernelTCP", Plain),
            ("swappiness", Plain),
            ("disableOOMKiller", Plain),
            ("useHierarchy", Plain),
            ("checkBeforeUpdate", Plain),
        ]),
    ),
    (
        "cpu",
        Object(&[
            ("shares", Plain),
            ("quota", Plain),
            ("burst", Plain),
            ("period", Plain),
            ("realtimeRuntime", Plain),
            ("realtimePeriod", Plain),
            ("cpus", Plain),
            ("mems", Plain),
            ("idle", Plain),
        ]),
    ),
    ("pids", Object(&[("limit", Plain)])),
    (
        "blockIO",
        Object(&[
            ("weight", Plain),
            ("leafWeight", Plain),
            ("weightDevice", List(&WEIGHT)),
            ("throttleReadBpsDevice", List(&THROTTLE)),
            ("throttleWriteBpsDevice", List(&THROTTLE)),
            ("throttleReadIOPSDevice", List(&THROTTLE)),
            ("throttleWriteIOPSDevice", List(&THROTTLE)),
        ]),
    ),
    ("hugepageLimits", List(&Object(&[("pageSize", Plain), ("limit", Plain)]))),
    ("network", Object(&[("classID", Plain), ("priorities", List(&Object(&[("name", Plain), ("priority", Plain)])))])),
    ("rdma", Map(&Object(&[("hcaHandles", Plain), ("hcaObjects", Plain)]))),
    ("unified", Plain),
]);
