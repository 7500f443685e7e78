# Summarises the output of `go test -v`: one line per package, and every skipped test with its reason. go test
# prints packages one after another. With -v passed=1 it also lists every test that passed. It prints the
# whole output of a failing package, and says again at the end which tests failed and what they printed last,
# because whoever sees only the end of a long log wants that.
function empty() { n = skips = passes = fails = 0; split("", reason); split("", said); split("", lines) }
{ line[++n] = $0 }
/^=== (RUN|PAUSE|CONT|NAME)/ { test = $3; next }
/^(panic|fatal error): |^SIG[A-Z]+: / { test = "trace" }
/^ *--- (SKIP|PASS|FAIL): / {
  name = $0; sub(/^ *--- [A-Z]+: /, "", name); sub(/ \([0-9.]+s\)$/, "", name)
  if (/--- SKIP/) skipped[++skips] = name
  else if (/--- PASS/) pass[++passes] = name
  else failed[++fails] = name
  test = ""
  next
}
/_test\.go:[0-9]+: / { reason[test] = $0; sub(/^.*_test\.go:[0-9]+: /, "", reason[test]) }
/^(ok|\?)[ \t]/ {
  print
  for (i = 1; passed && i <= passes; i++) print "\tpassed " pass[i]
  for (i = 1; i <= skips; i++) print "\tskipped " skipped[i] ": " reason[skipped[i]]
  empty()
  next
}
/^FAIL\t/ {
  for (i = 1; i <= n; i++) print line[i]
  ends = ends "\nfailed: " $2 "\n"
  for (i = 1; i <= fails; i++) ends = ends "failed: " $2 " " failed[i] "\n" part(failed[i], lines[failed[i]] - 14)
  ends = ends part("trace", 1)
  # A package that does not compile, or whose process is killed, names no test.
  if (!fails && !lines["trace"]) for (i = n > 20 ? n - 19 : 1; i <= n; i++) ends = ends line[i] "\n"
  empty()
  next
}
{ said[test, ++lines[test]] = $0 }
# part returns up to 15 lines that a test printed, from line first on.
function part(test, first,   i, text) {
  for (i = first > 1 ? first : 1; i < first + 15 && i <= lines[test]; i++) text = text said[test, i] "\n"
  return text
}
END { for (i = 1; i <= n; i++) print line[i]; printf "%s", ends }
