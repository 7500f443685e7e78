// Package speed measures whole runs of ducklens on a model of GPT-2 small's size against the targets in the README. It has
// benchmarks only: `make bench` runs them with those of other packages and prints the ratios in one table.
package speed
