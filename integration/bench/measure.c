/*
 * The stopwatch of hack/bench. Runs commands and tells how long each took from fork to the last exit, and the peak memory
 * of its largest process. Small and static, so that forking it costs nothing and its own memory does not show.
 *
 *   measure ROUNDS < TASKS        a line `NAME<TAB>COMMAND[; COMMAND]...` per task; prints a line per task:
 *                                 `NAME Q1 MEDIAN Q3 PEAK` (microseconds, KiB)
 *   measure -i COMMAND...         prints the user-mode instructions of the command and all its descendants
 *
 * Every round runs every task once, in a new random order, so that noise and the kernel's deferred work hit all alike.
 * A command `@reap FILE` waits, off the clock, for the process whose pid is in FILE: it must have been orphaned to us.
 * Standard input and output of the commands are /dev/null. They run with the highest priority that root may give (nice
 * -20), or other processes of a busy machine would be measured. Fails at the first command that fails.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_TASKS = 64, MAX_COMMANDS = 8, MAX_WORDS = 96, PAUSE_US = 3000, WARM_UP = 3 };

struct task {
	char *name;
	char *commands[MAX_COMMANDS][MAX_WORDS];
	int command_count;
	double *times;
	long peak;
};

static struct task tasks[MAX_TASKS];
static int task_count;

static void parse(FILE *from)
{
	static char line[16384];

	while (fgets(line, sizeof line, from)) {
		char *save_command, *save_word, *text = strdup(line);
		struct task *task = &tasks[task_count++];
		if (task_count == MAX_TASKS)
			errx(2, "measure: too many tasks");
		task->name = strtok_r(text, "\t", &save_command);
		for (char *c; (c = strtok_r(NULL, ";\n", &save_command));) {
			char **words = task->commands[task->command_count++];
			for (char *w = strtok_r(c, " ", &save_word); w; w = strtok_r(NULL, " ", &save_word))
				*words++ = w;
		}
	}
}

static void reap(const char *file)
{
	int pid = 0, status;
	FILE *f = fopen(file, "r");

	if (!f || fscanf(f, "%d", &pid) != 1 || waitpid(pid, &status, 0) != pid)
		err(1, "measure: cannot reap the process of %s (%d)", file, pid);
	fclose(f);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double run(struct task *task, char **words)
{
	int status;
	struct rusage usage;
	double start = now();
	pid_t pid = vfork();

	if (!pid) {
		execv(words[0], words);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		err(1, "measure: %s", words[0]);
	double end = now();
	if (status)
		errx(1, "measure: %s: %s %s failed (status %#x)", task->name, words[0], words[1] ? words[1] : "", status);
	if (usage.ru_maxrss > task->peak)
		task->peak = usage.ru_maxrss;
	return end - start;
}

static void shuffle(int *order, int n)
{
	for (int i = n - 1; i > 0; i--) {
		int j = rand() % (i + 1), swap = order[i];
		order[i] = order[j], order[j] = swap;
	}
}

static int by_value(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;
	return d < 0 ? -1 : d > 0;
}

static void measure(int rounds)
{
	int order[MAX_TASKS];

	for (int i = 0; i < task_count; i++) {
		order[i] = i;
		tasks[i].times = calloc(rounds, sizeof(double));
	}
	for (int round = -WARM_UP; round < rounds; round++) {
		shuffle(order, task_count);
		for (int i = 0; i < task_count; i++) {
			struct task *task = &tasks[order[i]];
			double sum = 0;
			for (int c = 0; c < task->command_count; c++) {
				char **words = task->commands[c];
				if (!strcmp(words[0], "@reap"))
					reap(words[1]);
				else
					sum += run(task, words);
			}
			if (round >= 0)
				task->times[round] = sum;
			usleep(PAUSE_US); /* lets the kernel's workers finish with the namespaces of this one */
		}
	}
	for (int i = 0; i < task_count; i++) {
		double *t = tasks[i].times;
		qsort(t, rounds, sizeof *t, by_value);
		printf("%s %.1f %.1f %.1f %ld\n", tasks[i].name, t[rounds / 4], t[rounds / 2], t[rounds * 3 / 4], tasks[i].peak);
	}
}

static void count_instructions(char **words)
{
	const long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
	uint64_t steps = 0;
	int status;
	pid_t pid = fork(), child = pid;

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(words[0], words);
		_exit(127);
	}
	waitpid(child, &status, 0);
	if (ptrace(PTRACE_SETOPTIONS, child, NULL, options))
		err(1, "measure: ptrace");
	ptrace(PTRACE_CONT, child, NULL, NULL);
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (pid == child && status)
				errx(1, "measure: %s failed (status %#x)", words[0], status);
			continue;
		}
		int signal = WSTOPSIG(status), deliver = 0;
		if (signal == SIGTRAP)
			steps += !(status >> 16); /* not an event of clone or exec */
		else if (signal != SIGSTOP) /* the first stop of a new task; nothing here is stopped otherwise */
			deliver = signal;
		ptrace(PTRACE_SINGLESTEP, pid, NULL, (long)deliver);
	}
	printf("%llu\n", (unsigned long long)steps);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		errx(2, "usage: measure ROUNDS < TASKS | measure -i COMMAND...");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), out = fcntl(1, F_DUPFD_CLOEXEC, 3);
	FILE *report = fdopen(out, "w");

	if (strcmp(argv[1], "-i"))
		parse(stdin);
	dup2(null, 0);
	dup2(null, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setpriority(PRIO_PROCESS, 0, -20); /* as far as we may */
	stdout = report;
	if (strcmp(argv[1], "-i"))
		measure(atoi(argv[1]));
	else
		count_instructions(argv + 2);
	return fclose(report) ? 1 : 0;
}
