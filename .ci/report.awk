# Summarises the output of `go test -v`: one line per package, the whole output of a failing package, and
# every skipped test with its reason. go test prints packages one after another. With -v passed=1 it also
# lists every test that passed.
function empty() { n = skips = passes = 0; split("", reason) }
{ line[++n] = $0 }
/^=== (RUN|CONT|NAME)/ { test = $3 }
/_test\.go:[0-9]+: / { reason[test] = $0; sub(/^.*_test\.go:[0-9]+: /, "", reason[test]) }
/^ *--- SKIP: / { name = $0; sub(/^ *--- SKIP: /, "", name); sub(/ \([0-9.]+s\)$/, "", name); skipped[++skips] = name }
/^ *--- PASS: / { name = $0; sub(/^ *--- PASS: /, "", name); pass[++passes] = name }
/^(ok|\?)[ \t]/ {
  print
  for (i = 1; passed && i <= passes; i++) print "\tpassed " pass[i]
  for (i = 1; i <= skips; i++) print "\tskipped " skipped[i] ": " reason[skipped[i]]
  empty()
}
/^FAIL\t/ { for (i = 1; i <= n; i++) print line[i]; empty() }
END { for (i = 1; i <= n; i++) print line[i] }
