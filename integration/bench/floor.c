/*
 * The floor: what the kernel alone takes for one default container. Makes the namespaces, cgroup, mounts, device nodes
 * and masks of the default configuration, pivots, executes /bin/true, waits, removes the cgroup; no JSON, no state, no
 * sealing, no capabilities, no seccomp. hack/bench builds it (cc -O2 -static) and measures every runtime against it.
 *
 *   floor ROOTFS -c CGROUP_PARENT... -m MASKED_PATH... -r READONLY_PATH...
 *
 * One parent on cgroup2 is the v2 layout (the child is born in its cgroup); more of them, each `DIRECTORY=MOUNT_OPTIONS`
 * with `unified` for cgroup2, are v1 or hybrid. Runs as root in the host's namespaces; leaves nothing behind.
 * -DSTEPS prints a line `STEP MICROSECONDS` for each stage (hack/bench --steps).
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define must(call) ({ __auto_type r = (call); if (r < 0) err(1, "floor: line %d: %s", __LINE__, #call); r; })
#define ATTEMPTS 10000

enum { MAX_HIERARCHIES = 16 };

struct hierarchy {
	char path[256];      /* our own cgroup in it */
	const char *name;    /* where it is mounted inside, and its mount options; NULL: the v2 layout */
};

static struct hierarchy hierarchies[MAX_HIERARCHIES];
static int hierarchy_count;
static char **masked, **readonly;
static int masked_count, readonly_count;

#ifdef STEPS
static struct { const char *name; struct timespec at; } *steps; /* shared with the child */
static void step(const char *name)
{
	int i = 0;
	while (steps[i].name)
		i++;
	clock_gettime(CLOCK_MONOTONIC, &steps[i].at);
	steps[i].name = name;
}
static void print_steps(void)
{
	for (int i = 1; steps[i].name; i++)
		printf("%s %.1f\n", steps[i].name, (steps[i].at.tv_sec - steps[i - 1].at.tv_sec) * 1e6 +
		       (steps[i].at.tv_nsec - steps[i - 1].at.tv_nsec) / 1e3);
}
#else
#define step(name) ((void)0)
#endif

/* A v1 cpuset takes no process before it has processors and memory nodes: its parent's. */
static void fill_cpuset(const char *path)
{
	static const char *files[] = {"cpuset.cpus", "cpuset.mems"};
	int dir = must(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)), parent = must(openat(dir, "..", O_PATH | O_CLOEXEC));

	for (int i = 0; i < 2; i++) {
		char value[256];
		int from = must(openat(parent, files[i], O_RDONLY | O_CLOEXEC)), to = must(openat(dir, files[i], O_WRONLY | O_CLOEXEC));
		must(write(to, value, must(read(from, value, sizeof value))));
	}
}

static void join_cgroups(void)
{
	for (int i = 0; i < hierarchy_count; i++) {
		int dir = must(open(hierarchies[i].path, O_PATH | O_DIRECTORY | O_CLOEXEC));
		int procs = must(openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC));
		must(write(procs, "0", 1));
	}
}

static void pivot(const char *rootfs)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	int root = must(syscall(SYS_open_tree, AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
	must(syscall(SYS_move_mount, root, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH));
	must(fchdir(root));
	must(syscall(SYS_pivot_root, ".", "."));
	must(umount2(".", MNT_DETACH));
	must(chdir("/"));
}

static void mount_cgroups(void)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RELATIME;

	if (hierarchy_count == 1 && !hierarchies[0].name) {
		must(mount("cgroup", "/sys/fs/cgroup", "cgroup2", flags | MS_RDONLY, NULL));
		return;
	}
	must(mount("cgroup", "/sys/fs/cgroup", "tmpfs", flags, "mode=755"));
	must(chdir("/sys/fs/cgroup"));
	for (int i = 0; i < hierarchy_count; i++) {
		const char *name = hierarchies[i].name;
		int unified = !strcmp(name, "unified");
		must(mkdir(name, 0755));
		must(mount("cgroup", name, unified ? "cgroup2" : "cgroup", flags | MS_RDONLY, unified ? NULL : name));
	}
	must(chdir("/"));
	must(mount(NULL, "/sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL));
}

static void mounts(void)
{
	const unsigned long safe = MS_NOSUID | MS_NOEXEC | MS_NODEV;

	must(mount("proc", "/proc", "proc", 0, NULL));
	step("proc");
	must(mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	must(mkdir("/dev/pts", 0755));
	must(mkdir("/dev/shm", 0755));
	must(mkdir("/dev/mqueue", 0755));
	step("dev");
	must(mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	step("devpts");
	must(mount("shm", "/dev/shm", "tmpfs", safe, "mode=1777,size=65536k"));
	step("shm");
	must(mount("mqueue", "/dev/mqueue", "mqueue", safe, NULL));
	step("mqueue");
	must(mount("sysfs", "/sys", "sysfs", safe | MS_RDONLY, NULL));
	step("sysfs");
	mount_cgroups();
	step("cgroupfs");
}

static void devices(void)
{
	static const struct { const char *path; int major, minor; } nodes[] = {
		{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7},
		{"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
	};
	static const char *links[][2] = {
		{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"},
	};
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		must(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		must(symlink(links[i][0], links[i][1]));
}

/* Files are covered by /dev/null, all directories by one empty read-only tmpfs; what is not there needs no mask. */
static void mask(void)
{
	int empty = -1, null = -1;

	for (int i = 0; i < masked_count; i++) {
		struct stat st;
		int from;
		if (stat(masked[i], &st))
			continue;
		if (!S_ISDIR(st.st_mode)) {
			if (null < 0)
				null = must(open("/dev/null", O_PATH | O_CLOEXEC));
			from = must(syscall(SYS_open_tree, null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
		} else if (empty < 0) {
			int fs = must(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC));
			must(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
			empty = must(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY));
			from = empty;
		} else {
			from = must(syscall(SYS_open_tree, empty, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
		}
		must(syscall(SYS_move_mount, from, "", AT_FDCWD, masked[i], MOVE_MOUNT_F_EMPTY_PATH));
	}
}

static void protect(void)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	for (int i = 0; i < readonly_count; i++) {
		int fd = syscall(SYS_open_tree, AT_FDCWD, readonly[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
		if (fd < 0 && errno == ENOENT)
			continue;
		must(fd);
		must(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr));
		must(syscall(SYS_move_mount, fd, "", AT_FDCWD, readonly[i], MOVE_MOUNT_F_EMPTY_PATH));
	}
	must(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof attr));
}

static int child(const char *rootfs, int born_in_place)
{
	step("clone");
	umask(0);
	if (!born_in_place)
		join_cgroups();
	must(unshare(CLONE_NEWCGROUP));
	step("cgroupns");
	pivot(rootfs);
	step("pivot");
	mounts();
	devices();
	step("devices");
	mask();
	step("masked");
	protect();
	step("readonly");
	must(sethostname("floor", 5));
	step("hostname");
	execve("/bin/true", (char *[]){"/bin/true", NULL}, (char *[]){"PATH=/bin", NULL});
	err(1, "floor: /bin/true");
}

static void parse(int argc, char **argv)
{
	int *count = NULL;

	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "-c")) {
			count = &hierarchy_count;
		} else if (!strcmp(argv[i], "-m")) {
			masked = argv + i + 1, count = &masked_count;
		} else if (!strcmp(argv[i], "-r")) {
			readonly = argv + i + 1, count = &readonly_count;
		} else if (count == &hierarchy_count && hierarchy_count < MAX_HIERARCHIES) {
			struct hierarchy *h = &hierarchies[hierarchy_count++];
			char *equals = strchr(argv[i], '=');
			if (equals)
				*equals = 0, h->name = equals + 1;
			snprintf(h->path, sizeof h->path, "%s/rruntime-bench-floor-%d", argv[i], getpid());
		} else if (count) {
			++*count;
		}
	}
	if (argc < 2 || !hierarchy_count)
		errx(2, "usage: floor ROOTFS -c CGROUP_PARENT... -m MASKED_PATH... -r READONLY_PATH...");
}

int main(int argc, char **argv)
{
#ifdef STEPS
	steps = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
#endif
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS,
		.exit_signal = SIGCHLD,
	};
	int status;

	parse(argc, argv);
	step("begin");
	for (int i = 0; i < hierarchy_count; i++) {
		must(mkdir(hierarchies[i].path, 0755));
		if (hierarchies[i].name && strstr(hierarchies[i].name, "cpuset"))
			fill_cpuset(hierarchies[i].path);
	}
	int v2 = !hierarchies[0].name;
	if (v2) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = must(open(hierarchies[0].path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	}
	step("mkdir-cgroup");
	pid_t pid = must(syscall(SYS_clone3, &args, sizeof args));
	if (!pid)
		return child(argv[1], v2);
	must(waitpid(pid, &status, 0));
	step("exec-exit-wait");
	for (int i = 0; i < hierarchy_count; i++) {
		int attempts = ATTEMPTS; /* a dead task may still be counted for a moment */
		while (rmdir(hierarchies[i].path) && errno == EBUSY && --attempts)
			sched_yield();
		if (!attempts)
			errx(1, "floor: %s: still busy", hierarchies[i].path);
	}
	step("rmdir-cgroup");
#ifdef STEPS
	print_steps();
#endif
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
