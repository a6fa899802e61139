# Reads `go test -v` and shows what matters: a line for each package, its figures (t.Logf("figure: ...")) below, and
# the whole output of a package that fails. With -v live=1 it also shows each test as it ends; with -v summary=1 it
# only counts.
function show(line) { if (!summary) { print line; fflush() } }
function forget() { lines = figures = 0 }
function show_all(list, count,   i) { for (i = 0; i < count; i++) show(list[i]) }

/^=== / { next }
/ figure: / { sub(/^.* figure: /, "     "); figure[figures++] = every[everies++] = $0; next }
/^ok[ \t]/ { packages++; show($0); show_all(figure, figures); forget(); next }
/^FAIL[ \t]/ { broken++; show_all(line, lines); show($0); forget(); next }
/\[no test files\]$/ { forget(); next }
/^ *--- PASS/ { passed++; if (live && /^---/) show($0); next }
/^ *--- FAIL/ { failed++; names = names "\n     failed: " $3; if (live && /^---/) show($0) }
{ line[lines++] = $0 }

END {
	show_all(line, lines)
	printf "%d packages ok, %d failed; %d tests passed, %d failed%s\n", packages, broken, passed, failed, names
	if (summary) for (i = 0; i < everies; i++) print every[i]
}
