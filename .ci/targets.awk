# Prints the output of `go test -bench`, and then compares the measurements with the targets. A target applies
# to the benchmarks whose names begin with a match of bench.
function target(bench, unit, bound, limit, what) { n++; B[n] = bench; U[n] = unit; least[n] = bound == "at least"; L[n] = limit; W[n] = what }
BEGIN {
  target("BenchmarkGemm/auto/threads=1", "x-openblas", "at least", 0.90, "matrix products, of OpenBLAS's speed, one thread (slowest shape)")
  target("BenchmarkGemm/auto/threads=2", "x-openblas", "at least", 0.90, "matrix products, of OpenBLAS's speed, two threads (slowest shape)")
  target("BenchmarkTargets/original", "s/run", "at most", 1.4, "50 prompts, everything, from start to file, s (original: 82)")
  target("BenchmarkTargets/original", "x-pass", "at most", 0.40, "the same, of one PyTorch forward pass")
  target("BenchmarkTargets/original", "x-original", "at least", 60, "the same, times as fast as the original code")
  target("BenchmarkAgainstPyTorch", "x-torch", "at least", 1, "forward pass, times as fast as PyTorch's")
  target("BenchmarkForward/small/threads=1", "gemm-bound", "at least", 0.80, "forward pass, of its matrix products' bound, one thread")
  target("BenchmarkForward/small/threads=2", "gemm-bound", "at least", 0.80, "forward pass, of its matrix products' bound, two threads")
  target("BenchmarkTargets/engine", "decomposition", "at most", 1.15, "decomposition and forward pass, of the forward pass")
  target("BenchmarkTargets/engine", "144-heads", "at most", 2.5, "all 144 heads one-sided, of one head")
  target("BenchmarkTargets/ingest", "x-forward", "at most", 1.25, "ingest of 1,200 prompts, wall time of the forward pass alone")
  target("BenchmarkTargets/writer", "x-insert", "at least", 0.70, "writer alone, of the speed of INSERT ... SELECT from memory")
  target("BenchmarkTargets/ingest", "bytes/float", "at most", 4.5, "file, bytes for each stored float")
  target("BenchmarkTargets/memory", "peak-MB", "at most", 1200, "peak memory at 50 prompts, MB")
  target("BenchmarkTargets/memory", "x-peak", "at most", 1.10, "peak memory at 1,200 prompts, of that at 50")
  target("BenchmarkTargets/growth", "x-linear", "at most", 1.10, "processor time a prompt at 50, 200, 800: largest of smallest")
  target("BenchmarkTargets/queries", "slowest-query-ms", "at most", 150, "slowest saved query but of pairs, ms")
  target("BenchmarkTargets/queries", "slowest-pair-ms", "at most", 1500, "slowest saved query of pairs, ms")
  target("BenchmarkTargets/explore", "first-ms", "at most", 300, "explorer, first view of the demo's file, ms")
  target("BenchmarkTargets/explore", "step-ms", "at most", 200, "explorer, slowest step on it, ms")
  target("BenchmarkTargets/explore", "many-step-ms", "at most", 1000, "explorer, slowest step at 1,200 prompts, ms")
  target("BenchmarkTargets/start", "help-ms", "at most", 100, "ducklens --help, ms")
  target("BenchmarkTargets/start", "query-ms", "at most", 100, "ducklens query on a small file, ms")
}
{ print; fflush() }
/^Benchmark/ {
  for (i = 1; i <= n; i++) {
    if ($1 !~ "^" B[i]) continue
    for (f = 4; f <= NF; f += 2) if ($f == U[i] && (!(i in M) || (least[i] ? $(f - 1) < M[i] : $(f - 1) > M[i]))) M[i] = $(f - 1) + 0 # the worst
  }
}
END {
  for (i = 1; i <= n; i++) measured += i in M
  if (!measured) exit
  printf "\n%-66s %9s %9s\n", "", "target", "measured"
  for (i = 1; i <= n; i++)
    printf "%-66s %s %6g %9s  %s\n", W[i], least[i] ? ">=" : "<=", L[i], i in M ? sprintf("%.3g", M[i]) : "-", !(i in M) ? "not run" : (least[i] ? M[i] >= L[i] : M[i] <= L[i]) ? "met" : "missed"
}
