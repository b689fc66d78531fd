# Turns what hack/bench has measured into a report, and judges it when `check` is "true": exits 1 on a missed goal.
# Reads `MEASURE.PROGRAM Q1 MEDIAN Q3 PEAK` and `FACT[.MEASURE].PROGRAM VALUE`.

NF == 5 { q1[$1] = $2; median[$1] = $3; q3[$1] = $4; peak[$1] = $5; next }
{ fact[$1] = $2 }

function ratio(task, base, digits) {
    if (!(task in median) || !(base in median)) return "–"
    return sprintf("%.2f", median[task] / median[base])
}

function with_quartiles(task, base) {
    if (!(task in median) || !(base in median)) return "–"
    return sprintf("%.2f (%.2f–%.2f)", median[task] / median[base], q1[task] / median[base], q3[task] / median[base])
}

function known(key) { return key in fact && fact[key] != "-" ? fact[key] : "–" }

function thousands(key) { return known(key) == "–" ? "–" : sprintf("%d", fact[key] / 1000) }

function block(title, measure, base, names,    n, i, list, task, least) {
    least = (measure "." base) in median ? measure "." base : "run.floor"
    printf "\n%-26s %9s   %-17s %8s %8s %10s %8s %8s\n", title, "median ms", "quartiles", "÷ " base, "÷ crun", "peak KiB", "calls", "k instr."
    n = split(names, list, " ")
    for (i = 1; i <= n; i++) {
        task = measure "." list[i]
        if (!(task in median)) continue
        printf "  %-24s %9.2f   %7.2f – %7.2f %7s %7s %9s %8s %8s\n", list[i], median[task] / 1000, q1[task] / 1000, q3[task] / 1000, \
            ratio(task, least), ratio(task, measure ".crun"), peak[task], known("calls." task), thousands("instructions." task)
    }
}

function text(    n, i, list) {
    print machine
    block("run /bin/true", "run", "floor", programs " rruntime+rules")
    block("exec /bin/true", "exec", "bare", "bare " programs)
    block("create + start + delete", "life", "floor", programs)
    block("state", "state", "bare", "bare " programs)
    printf "\n%-26s %9s   %-26s %s\n", "", "size KiB", "waiting init: RSS/dirty KiB", "version"
    n = split(programs, list, " ")
    for (i = 2; i <= n; i++)
        printf "  %-24s %9d   %-26s %s\n", list[i], fact["size." list[i]] / 1024, fact["waiting." list[i]], fact["version." list[i]]
    print "\nfloor: the same namespaces, cgroup and mounts, and nothing else; bare: fork and exec of busybox alone."
}

function markdown(    n, i, list, p) {
    print "| | `run` ÷ floor | `run` ÷ crun | `exec` ÷ crun | create+start+delete ÷ crun | `state` ÷ crun | peak memory | system calls, run / exec | binary |"
    print "|---|---|---|---|---|---|---|---|---|"
    n = split(programs, list, " ")
    for (i = 1; i <= n; i++) {
        p = list[i]
        printf "| %s %s | %s | %s | %s | %s | %s | %s KiB | %s / %s | %s |\n", p == "rruntime" ? "**rruntime**" : p, \
            fact["version." p], with_quartiles("run." p, "run.floor"), ratio("run." p, "run.crun"), \
            ratio("exec." p, "exec.crun"), ratio("life." p, "life.crun"), ratio("state." p, "state.crun"), peak["run." p], \
            known("calls.run." p), known("calls.exec." p), ("size." p) in fact ? sprintf("%.1f MB", fact["size." p] / 1e6) : "–"
    }
    print "\nMedians as ratios (quartiles in brackets); " machine "."
}

function goal(measure, base, limit,    value) {
    if (!(base in median)) {
        print "missed: " measure " cannot be compared, there is no " base
        return 1
    }
    value = median[measure] / median[base]
    printf "%s: %s is %.2f x %s (goal: at most %.2f)\n", value <= limit ? "met" : "missed", measure, value, base, limit
    return value > limit
}

END {
    if (format == "markdown") markdown()
    else text()
    print ""
    if (check == "true") {
        missed = goal("run.rruntime", "run.crun", 0.9) + goal("run.rruntime", "run.floor", 1.6) + goal("exec.rruntime", "exec.crun", 0.9999)
        exit missed > 0
    }
}
