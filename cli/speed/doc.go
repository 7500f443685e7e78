// Package speed measures whole runs of ducklens on a model of GPT-2 small's size against the targets in the README. `make
// bench` runs the benchmarks with those of other packages and prints the ratios in one table. A test holds what `ducklens model
// inspect` says of memory to what runs take.
package speed
