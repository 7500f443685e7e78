// Package speed measures whole runs of ducklens, on a model of GPT-2 small's size, against the targets in
// docs/speed.md. `make bench` runs the benchmarks, with those of other packages, and prints the ratios in one
// table. A test compares the memory estimate of `ducklens model inspect` with real runs.
package speed
