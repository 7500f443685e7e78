# Reads `go test -v` and prints what a person wants of it: one line a package, everything a failing
# package said, and every skipped test with its reason. Package output comes whole, one after another.
function empty() { n = skips = 0; split("", reason) }
{ line[++n] = $0 }
/^=== (RUN|CONT|NAME)/ { test = $3 }
/_test\.go:[0-9]+: / { reason[test] = $0; sub(/^.*_test\.go:[0-9]+: /, "", reason[test]) }
/^ *--- SKIP: / { name = $0; sub(/^ *--- SKIP: /, "", name); sub(/ \([0-9.]+s\)$/, "", name); skipped[++skips] = name }
/^(ok|\?)[ \t]/ {
  print
  for (i = 1; i <= skips; i++) print "\tskipped " skipped[i] ": " reason[skipped[i]]
  empty()
}
/^FAIL\t/ { for (i = 1; i <= n; i++) print line[i]; empty() }
END { for (i = 1; i <= n; i++) print line[i] }
