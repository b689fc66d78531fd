/*
 * What a seccomp filter costs: nanoseconds per system call without one and under each of several, as a table `CALL FILTER
 * MEDIAN`, and with more than one filter a line `CALL ratio MEDIAN`: of the first filter to the second, round by round.
 *
 *   seccomp ROUNDS [FILTER...]
 *
 * FILTER is a file of `struct sock_filter`. A process for each filter and one without wait on a processor of their own;
 * in a round each of them measures each call once, in random order, so that noise hits all alike. No root is needed.
 */
#define _GNU_SOURCE
#include <err.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define must(call) ({ __auto_type r = (call); if (r < 0) err(1, "seccomp: line %d: %s", __LINE__, #call); r; })

enum { REPEATS = 5000, MAX_FILTERS = 8 };

/* All of them are allowed by the engines' profiles; the last two because of their arguments, the others always. */
static const struct { const char *name; long number, args[3]; } calls[] = {
	{"getppid", SYS_getppid, {}},
	{"futex_waitv", 449, {}},                              /* late in the list; EINVAL */
	{"personality", SYS_personality, {0xffffffff}},        /* one of five values; only asks */
	{"socket", SYS_socket, {1000}},                        /* any but one value; EAFNOSUPPORT */
};
enum { CALLS = sizeof calls / sizeof *calls };

static double measure(int call)
{
	struct timespec begin, end;
	long number = calls[call].number, a = calls[call].args[0], b = calls[call].args[1], c = calls[call].args[2];

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < REPEATS; i++)
		syscall(number, a, b, c, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / REPEATS;
}

static void load(const char *path)
{
	static struct sock_filter code[BPF_MAXINSNS];
	FILE *file = fopen(path, "rb");
	struct sock_fprog program = {.filter = code};

	if (!file)
		err(1, "seccomp: %s", path);
	program.len = fread(code, sizeof *code, BPF_MAXINSNS, file);
	fclose(file);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	/* As without `flags` in config.json. */
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program));
}

static struct { int ask, answer; } children[MAX_FILTERS + 1];

static void child(int at, const char *filter)
{
	int ask[2], answer[2];

	must(pipe(ask));
	must(pipe(answer));
	children[at].ask = ask[1];
	children[at].answer = answer[0];
	if (must(fork()) != 0) {
		close(ask[0]);
		close(answer[1]);
		return;
	}
	for (int i = 0; i <= at; i++)
		close(children[i].ask);
	if (filter)
		load(filter);
	for (char call; read(ask[0], &call, 1) == 1;) {
		double time = measure(call);
		must(write(answer[1], &time, sizeof time));
	}
	_exit(0);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, int count)
{
	qsort(values, count, sizeof *values, ascending);
	return values[count / 2];
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0, kinds = argc - 1;

	if (rounds < 1 || kinds > MAX_FILTERS + 1)
		errx(2, "usage: seccomp ROUNDS [FILTER...]");
	double(*times)[CALLS][rounds] = calloc(kinds, sizeof *times), *ratios = calloc(rounds, sizeof *ratios);
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	must(sched_setaffinity(0, sizeof set, &set));
	for (int kind = 0; kind < kinds; kind++)
		child(kind, kind ? argv[1 + kind] : NULL);
	srandom(1);
	for (int round = 0; round < rounds; round++)
		for (char call = 0; call < CALLS; call++)
			for (int turn = 0, first = random() % kinds; turn < kinds; turn++) {
				int kind = (first + turn) % kinds;
				must(write(children[kind].ask, &call, 1));
				if (read(children[kind].answer, &times[kind][(int)call][round], sizeof(double)) != sizeof(double))
					errx(1, "seccomp: a measuring process has died");
			}
	for (int call = 0; call < CALLS; call++) {
		for (int round = 0; kinds > 2 && round < rounds; round++)
			ratios[round] = times[1][call][round] / times[2][call][round];
		for (int kind = 0; kind < kinds; kind++)
			printf("%s %s %.1f\n", calls[call].name, kind ? argv[1 + kind] : "none", median(times[kind][call], rounds));
		if (kinds > 2)
			printf("%s ratio %.3f\n", calls[call].name, median(ratios, rounds));
	}
	for (int kind = 0; kind < kinds; kind++)
		close(children[kind].ask);
	while (wait(NULL) > 0)
		;
}
